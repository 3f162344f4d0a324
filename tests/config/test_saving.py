"""Saving changes what was changed, and nothing else that a person wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from phichat.config.saving import edited, save
from phichat.config.template import new_project
from phichat.errors import ConfigError

MINE = """\
# My project
base_model = "phi-4"   # the large one
backend = "local"

[chat]
# colder than usual
temperature = 0.2

[data]
seed = 3
"""


def test_a_value_is_changed_where_it_stands() -> None:
    changed = edited(MINE, {("base_model",): "smollm2", ("chat", "temperature"): 0.5})
    assert changed == MINE.replace('"phi-4"', '"smollm2"').replace("0.2", "0.5")


def test_a_value_is_added_to_its_table_and_taken_out_again() -> None:
    added = edited(MINE, {("chat", "seed"): 1, ("backends", "local", "threads"): 2})
    assert tomllib.loads(added)["chat"] == {"temperature": 0.2, "seed": 1}
    assert tomllib.loads(added)["backends"] == {"local": {"threads": 2}}
    assert added.startswith(MINE[: MINE.index("temperature")])
    assert "[backends]\n" not in added
    without = edited(added, {("chat", "seed"): None, ("data", "source"): None})
    assert tomllib.loads(without)["chat"] == {"temperature": 0.2}
    assert "# colder than usual" in without


def test_the_line_that_showed_a_default_says_it_now() -> None:
    template = new_project({})
    changed = edited(template, {("chat", "temperature"): 0, ("train", "lora_targets"): ["q_proj"]})
    before, after = template.splitlines(), changed.splitlines()
    different = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new.split("  #")[0].rstrip() for _, new in different] == [
        'lora_targets = ["q_proj"]',
        "temperature = 0",
    ]
    assert all(old.rpartition("  # ")[2] == new.rpartition("  # ")[2] for old, new in different)


def test_a_key_of_another_table_with_the_same_name_is_left_alone() -> None:
    changed = edited(new_project({}), {("chat", "seed"): 7})
    assert tomllib.loads(changed)["chat"] == {"seed": 7}
    assert "seed" not in tomllib.loads(changed).get("data", {})


def test_a_file_that_is_not_there_is_made_with_everything_explained(tmp_path: Path) -> None:
    save(tmp_path / "phichat.toml", {("base_model",): "phi-4"})
    text = (tmp_path / "phichat.toml").read_text(encoding="utf-8")
    said = tomllib.loads(text)
    assert (said["backend"], said["base_model"]) == ("local", "phi-4")
    assert "share of the rows held out" in text
    assert (tmp_path / ".gitignore").read_text(encoding="utf-8") == ".phichat/\n"


def test_what_cannot_be_written_or_read_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "phichat.toml"
    file.write_text("backend = local\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        save(file, {("backend",): "local"})
    with pytest.raises(ConfigError, match="cannot be written"):
        save(file / "phichat.toml", {("backend",): "local"})
    assert file.read_text(encoding="utf-8") == "backend = local\n"
