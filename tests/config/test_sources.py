"""Five sources, one configuration: who wins, and where each value is said to come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from phichat.config.sources import Origin, line_of, variable
from tests.config.conftest import Place, Refused


def test_without_anything_the_defaults_hold(place: Place) -> None:
    loaded = place.load()
    assert loaded.project is None
    assert (loaded.config.backend, loaded.config.base_model) == ("local", None)
    assert (loaded.config.data.test_size, loaded.config.data.seed) == (0.2, 0)
    assert set(loaded.origins.values()) == {
        Origin("default", key=tuple(key.split("."))) for key in loaded.origins
    }


def test_each_source_beats_the_ones_below_it(place: Place) -> None:
    user = "[data]\nseed = 1"
    project = "[data]\nseed = 2"
    environ = {"PHICHAT_DATA__SEED": "3"}
    flags = {"data.seed": "4"}
    assert place.load(user=user).config.data.seed == 1
    assert place.load(project).config.data.seed == 2
    assert place.load(environ=environ).config.data.seed == 3
    assert place.load(environ=environ, flags=flags).config.data.seed == 4


def test_every_value_says_where_it_came_from(place: Place) -> None:
    loaded = place.load(
        project="backend = 'local'\n\n[data]\nsource = 'x.jsonl'\ntest_size = 0.1\n",
        user="theme = 'dark'\n",
        environ={"PHICHAT_TRAIN__EPOCHS": "2"},
        flags={"chat.temperature": "0", "deploy.ttl_hours": 5},
    )
    said = {key: str(origin) for key, origin in loaded.origins.items()}
    assert said["data.test_size"] == f"{place.file}:5"
    assert said["theme"] == f"{place.own}:1"
    assert said["train.epochs"] == "PHICHAT_TRAIN__EPOCHS"
    assert said["chat.temperature"] == "--temperature"
    assert said["deploy.ttl_hours"] == "--set deploy.ttl_hours"
    assert said["chat.top_p"] == "default"
    assert loaded.origins["theme"].source == "user"


def test_the_project_is_found_from_a_folder_inside_it(place: Place) -> None:
    inside = place.project / "deep" / "deeper"
    inside.mkdir(parents=True)
    place.file.write_text("[data]\nseed = 9", encoding="utf-8")
    place.project = inside
    assert place.load().config.data.seed == 9


def test_texts_become_what_the_key_wants(place: Place) -> None:
    environ = {"PHICHAT_DEPLOY__TTL_HOURS": "1.5", "PHICHAT_CHAT__SEED": "7", "PHICHAT_BASE_MODEL": ""}
    config = place.load(environ=environ, flags={"backends.some.list": "[1, 2]"}).config
    assert (config.deploy.ttl_hours, config.chat.seed) == (1.5, 7)
    assert config.base_model is None, "an empty variable counts as not set"
    assert config.backends == {"some": {"list": [1, 2]}}
    assert place.load(flags={"chat.system": "[INST] be brief"}).config.chat.system == "[INST] be brief"


def test_reserved_variables_are_not_configuration(place: Place) -> None:
    names = ("PHICHAT_HOME", "PHICHAT_CACHE", "PHICHAT_SERVE_KEY", "PHICHAT_HF_TOKEN", "OTHER_DATA__SEED")
    place.load(environ=dict.fromkeys(names, "x"))


def test_a_variable_finds_a_backend_with_a_hyphen(place: Place) -> None:
    environ = {"PHICHAT_BACKENDS__MY_CLOUD__REGION": "north"}
    loaded = place.load('backend = "my-cloud"', environ=environ)
    assert loaded.config.backends == {"my-cloud": {"region": "north"}}
    loaded = place.load("[backends.my-cloud]\nregion = 'south'", environ=environ)
    assert loaded.config.backends == {"my-cloud": {"region": "north"}}


def test_bindings_may_be_written_with_dots(place: Place) -> None:
    loaded = place.load(user='[keys]\nchat.send = "ctrl+s"\n"app.quit" = "ctrl+x"')
    assert loaded.config.keys == {"chat.send": "ctrl+s", "app.quit": "ctrl+x"}
    assert str(loaded.origins["keys.chat.send"]) == f"{place.own}:2"


@pytest.mark.parametrize("key", ["base_model", "data.source"])
def test_a_relative_path_starts_where_it_was_written(place: Place, key: str, home: Path) -> None:
    table, _, name = key.rpartition(".")
    text = f"[{table}]\n{name} = './x/../phi'" if table else f"{name} = './x/../phi'"

    def value(**sources: object) -> object:
        dumped = place.load(**sources).config.model_dump()  # type: ignore[arg-type]
        return dumped[table][name] if table else dumped[name]

    assert value(user=text) == str(place.own.parent / "phi")
    assert value(project=text) == str(place.project / "phi")
    assert value(flags={key: "../phi"}) == str(place.project.parent / "phi")
    assert value(flags={key: "~/phi"}) == str(home / "phi")
    assert value(flags={key: "org/phi"}) == "org/phi", "a hub id is no path"


def test_a_byte_order_mark_is_no_error(place: Place) -> None:
    place.file.write_text("backend = 'local'", encoding="utf-8-sig")
    assert place.load().config.backend == "local"


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("backend = local", "line 1, column 11, is not valid TOML: invalid value", 'backend = "local"'),
        ('[data]\nsource = "C:\\Users"', "line 2", "single quotes"),
        ("[data]\n[data]", "line 2, column 6, is not valid TOML: cannot declare", "twice"),
        ('backend = "local', "is not valid TOML", ""),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(refused: Refused, text: str, told: str, hint: str) -> None:
    error = refused(text)
    assert "phichat.toml" in error.message
    assert told in error.message
    assert hint in error.hint


def test_a_file_that_cannot_be_read_is_one_sentence(place: Place, refused: Refused) -> None:
    place.file.write_bytes(b"backend = '\xff'")
    assert "not UTF-8" in refused().message
    place.file.unlink()
    place.own.mkdir()
    assert "cannot be read" in refused().message


def test_the_line_of_a_key_is_where_it_starts(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(
        '# seed = 1\n[chat]\nsystem = """\nseed = 2\n"""\nseed = 3\n[data]\nseed = 4\n', encoding="utf-8"
    )
    assert line_of(file, ("chat", "system")) == 3
    assert line_of(file, ("chat", "seed")) == 6
    assert line_of(file, ("data", "seed")) == 8
    assert line_of(file, ("data", "split")) is None
    assert line_of(tmp_path / "gone.toml", ("data",)) is None


def test_the_variable_of_a_key() -> None:
    assert variable("data.test_size") == "PHICHAT_DATA__TEST_SIZE"
    assert variable("backends.my-cloud.key") == "PHICHAT_BACKENDS__MY_CLOUD__KEY"
