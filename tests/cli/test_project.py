"""`phichat init` and `phichat check`: a folder becomes a project, and everything is looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_init_makes_a_project(phichat: Run, folder: Path) -> None:
    done = phichat("init")
    assert (done.code, done.out) == (0, f"{folder / 'phichat.toml'}\n")
    assert done.err == "Next: phichat check\n"
    assert (folder / ".gitignore").read_text("utf-8") == ".phichat/\n"
    assert phichat("check").out.count(f"{folder / 'phichat.toml'}:") == 1, "only the backend is set"


@pytest.mark.usefixtures("parrot")
def test_init_makes_the_folder_and_writes_what_was_given(phichat: Run, folder: Path) -> None:
    done = phichat("init", "new/one", "--backend", "parrot", "--set", "data.seed=7")
    assert done.code == 0
    assert done.err == "Next: cd new/one, then phichat check\n"
    text = (folder / "new" / "one" / "phichat.toml").read_text("utf-8")
    assert 'backend = "parrot"' in text
    assert "\nseed = 7" in text


def test_init_refuses_a_backend_that_is_not_there(phichat: Run, folder: Path) -> None:
    done = phichat("init", "new", "--backend", "locl")
    assert (done.code, done.err) == (2, "phichat: There is no backend 'locl'.\n  Did you mean 'local'?\n")
    assert not (folder / "new").exists()


def test_init_below_another_folder(phichat: Run, folder: Path) -> None:
    (folder / "there").mkdir()
    assert phichat("init", "new", "-C", "there").code == 0
    assert (folder / "there" / "new" / "phichat.toml").is_file()


def test_the_folder_above_is_not_the_project_below(phichat: Run, folder: Path) -> None:
    assert phichat("init", "new", "--set", "data.seed=7").code == 0
    (folder / "new" / "deep").mkdir()
    seeds = [
        phichat("check", "-C", place).out.count("data.seed                      7 ")
        for place in ("new", "new/deep", "new/..")
    ]
    assert seeds == [1, 1, 0]


def test_init_leaves_a_project_alone(phichat: Run, folder: Path) -> None:
    (folder / "phichat.toml").write_text("# mine\n", encoding="utf-8")
    done = phichat("init")
    assert done.code == 2
    assert "is a project already" in done.err
    assert (folder / "phichat.toml").read_text("utf-8") == "# mine\n"


def test_init_keeps_what_git_ignores_already(phichat: Run, folder: Path) -> None:
    (folder / ".gitignore").write_text("*.pyc", encoding="utf-8")
    phichat("init")
    assert (folder / ".gitignore").read_text("utf-8") == "*.pyc\n.phichat/\n"
    (folder / "phichat.toml").unlink()
    phichat("init")
    assert (folder / ".gitignore").read_text("utf-8") == "*.pyc\n.phichat/\n"


def test_init_where_nothing_can_be_written(phichat: Run, folder: Path) -> None:
    (folder / "file").write_text("", encoding="utf-8")
    for arguments in (("init", "file/below"), ("init", "file"), ("status", "-C", "file")):
        done = phichat(*arguments)
        assert done.code == 2
        assert done.err == f"phichat: {folder / 'file'} is a file, not a folder.\n  Its folder is {folder}\n"


def test_init_refuses_what_would_not_load(phichat: Run, folder: Path) -> None:
    assert phichat("init", "--set", "data.seed=x").code == 2
    assert not (folder / "phichat.toml").exists()


def test_check_shows_every_check_and_every_value_with_its_origin(phichat: Run, project: Path) -> None:
    done = phichat("check", "--set", "data.seed=3")
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["ok", "parrot", "looked", "at"] in lines
    assert ["backend", "parrot", f"{project / 'phichat.toml'}:1"] in lines
    assert ["data.seed", "3", "--set", "data.seed"] in lines
    assert ["data.test_size", "0.2", "default"] in lines
    assert ["backends.parrot.usd_per_hour", "0", "default"] in lines
    assert ["project", str(project)] in lines


def test_a_failed_check_says_its_fix_and_fails(phichat: Run, project: Path) -> None:
    done = phichat("check", "--set", "backends.parrot.healthy=false")
    assert done.code == 1
    assert done.out.splitlines()[:2] == ["FAIL  parrot  looked at", "              → Call a vet."]


def test_check_as_json(phichat: Run, project: Path) -> None:
    done = phichat("check", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert lines[0] == {"kind": "check", "name": "parrot", "ok": True, "detail": "looked at", "fix": ""}
    settings = {line["key"]: line for line in lines[1:]}
    where = f"{project / 'phichat.toml'}:1"
    assert settings["backend"] == {
        "kind": "setting",
        "key": "backend",
        "value": "parrot",
        "source": "project",
        "where": where,
    }


def test_a_broken_configuration_is_a_failed_check(phichat: Run, project: Path) -> None:
    (project / "phichat.toml").write_text("[data]\nsede = 1\n", encoding="utf-8")
    done = phichat("check")
    assert done.code == 1
    assert done.out.startswith("FAIL  configuration  data.sede (")
    assert "→ Did you mean seed under [data]?" in done.out


def test_check_masks_secrets(phichat: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_BACKENDS__PARROT__SEEDS", "sunflower-seeds")
    done = phichat("check")
    assert "backends.parrot.seeds" in done.out
    assert "sunflower" not in done.out


def test_check_of_an_unknown_backend(phichat: Run, project: Path) -> None:
    done = phichat("check", "--backend", "parot")
    assert done.code == 1
    assert "There is no backend 'parot'." in done.out
    assert "→ Did you mean 'parrot'?" in done.out


@pytest.mark.parametrize(
    ("written", "name", "told", "fix"),
    [
        (
            'base_model = "smolm2"',
            "base_model",
            "There is no model called 'smolm2'.",
            "Did you mean smollm2?",
        ),
        (
            '[data]\nsource = "nope.csv"',
            "data.source",
            "There is no file or folder 'nope.csv'.",
            "Name a file",
        ),
        ('[train]\nmethod = "qlora"', "train.method", "qlora needs an NVIDIA GPU", "--method lora"),
        ('[backends.local]\ndevice = "cuda"', "device", "cuda needs a GPU", 'Set device = "auto"'),
        (
            "[backends.locl]\nthreads = 1",
            "configuration",
            "no backend 'locl'",
            "Did you mean [backends.local]?",
        ),
    ],
)
def test_check_finds_what_the_next_command_would_refuse(
    phichat: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, written: str, name: str, told: str, fix: str
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("phichat.backends.local.checks.GPU_DEVICES", ())
    (folder / "phichat.toml").write_text(f"{written}\n", encoding="utf-8")
    done = phichat("check", "--json")
    checks = [json.loads(line) for line in done.out.splitlines() if '"kind":"check"' in line.replace(" ", "")]
    (found,) = [check for check in checks if check["name"] == name]
    assert (done.code, found["ok"]) == (1, False)
    assert told in found["detail"] and fix in found["fix"]


def test_check_lets_the_settings_of_another_plugin_be(phichat: Run, folder: Path) -> None:
    (folder / "phichat.toml").write_text("[backends.somewhere]\nkind = 1\n", encoding="utf-8")
    (line,) = [line for line in phichat("check").out.splitlines() if "[backends.somewhere]" in line]
    assert line.split()[:2] == ["ok", "configuration"]
