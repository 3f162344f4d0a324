"""`phichat provision` and `phichat login`: what is shown, asked and made, with a backend that is a nest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.plugins.install import write_metadata


@pytest.fixture(autouse=True)
def nest(project: Path, parrot: Path) -> Path:
    write_metadata(parrot, "phichat-nest", {"nest": "tests.cli.nest"})
    config = (project / "phichat.toml").read_text(encoding="utf-8").replace("parrot", "nest", 1)
    (project / "phichat.toml").write_text(config, encoding="utf-8")
    return project / ".phichat" / "nest"


def test_a_dry_run_makes_nothing(phichat: Run, nest: Path) -> None:
    done = phichat("provision", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out == "planned   tree\nplanned   branch\nplanned   straw\n"
    assert not nest.exists()


def test_it_asks_before_it_makes_anything(phichat: Run, nest: Path) -> None:
    done = phichat("provision")
    assert done.code == 2 and "--yes" in done.err and "planned   branch" in done.err
    assert phichat("provision", typed="n\n").code == 1
    assert not nest.exists()
    assert phichat("provision", typed="y\n").code == 0
    assert (nest / "straw").exists()


def test_what_is_there_stays_and_nothing_is_asked_then(phichat: Run, nest: Path) -> None:
    assert phichat("provision", "--yes").out.splitlines()[0] == "done      tree  of the nest"
    done = phichat("provision")
    assert (done.code, done.err) == (0, "All is ready.\n")
    assert done.out == "reused    tree\nreused    branch\nreused    straw\n"


def test_a_part_that_fails_is_named_and_the_next_call_goes_on_there(phichat: Run, nest: Path) -> None:
    done = phichat("provision", "--yes", "--set", "backends.nest.storm=branch")
    assert done.code == 1
    assert done.out == "done      tree  of the nest\nfailed    branch  the wind\n"
    assert "The wind took the branch." in done.err
    again = phichat("provision", "--yes")
    assert again.out.splitlines() == [
        "reused    tree  of the nest",
        "done      branch  of the nest",
        "done      straw  of the nest",
    ]


def test_provision_as_json(phichat: Run) -> None:
    planned = [json.loads(line) for line in phichat("provision", "--dry-run", "--json").out.splitlines()]
    assert [each["state"] for each in planned] == ["planned"] * 3
    made = [json.loads(line) for line in phichat("provision", "--yes", "--json").out.splitlines()]
    assert [each["state"] for each in made] == ["running", "done"] * 3


def test_a_backend_with_nothing_to_make_says_so(phichat: Run) -> None:
    done = phichat("provision", "--backend", "parrot")
    assert (done.code, done.out, done.err) == (0, "", "Nothing has to be made on A parrot.\n")


def test_the_code_of_a_sign_in_is_shown_at_once(phichat: Run) -> None:
    done = phichat("login")
    assert (done.code, done.out, done.err) == (0, "", "Open the window and whistle ABC123.\n")


def test_a_sign_in_that_nothing_keeps_is_no_success(phichat: Run) -> None:
    done = phichat("login", "--set", "backends.nest.keyring=false")
    assert done.code == 1 and "az login" in done.err


def test_a_sign_in_that_fails_says_why(phichat: Run) -> None:
    done = phichat("login", "--set", "backends.nest.storm=all")
    assert (done.code, done.err) == (1, "phichat: Nobody came.\n  phichat login\n")


def test_who_signs_in_elsewhere_is_told_the_whole_command(phichat: Run, project: Path) -> None:
    done = phichat("login", "--backend", "parrot")
    assert done.code == 1 and done.err.startswith("phichat: The backend 'parrot' asks nobody who you are.")
    assert "phichat login --backend nest" in done.err
    (project / "phichat.toml").write_text('backend = "parrot"\n', encoding="utf-8")
    done = phichat("login", "--backend", "nest", "--set", "backends.nest.storm=all")
    assert done.err == "phichat: Nobody came.\n  phichat login --backend nest\n"
    done = phichat("provision", "--yes", "--backend", "nest", "--set", "backends.nest.storm=branch")
    assert done.err.endswith("\n  phichat provision --backend nest\n")
    done = phichat("check", "--backend", "nest", "--set", "backends.nest.healthy=false")
    assert "→ Call a vet." in done.out
