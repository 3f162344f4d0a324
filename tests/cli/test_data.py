"""`phichat data`: the report, the problems, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phichat.cli.verbs.data import SHOWN
from tests.cli.conftest import Run
from tests.data.conftest import chat, tower, write

pytestmark = pytest.mark.usefixtures("project")


def test_the_demo_needs_nothing(phichat: Run, folder: Path) -> None:
    done = phichat("data", "demo")
    assert done.code == 0, done.err
    assert "60 rows, JSON lines, messages (60 of the first 60 rows have 'messages')" in done.out
    assert "51 to train on, 9 to evaluate on (15.0% held out, seed 0)" in done.out
    place = Path(done.out.splitlines()[-1].split(maxsplit=1)[1])
    assert place.parent == folder / ".phichat" / "data"
    assert json.loads((place.parent / "current.json").read_text()) == {"fingerprint": place.name}


def test_the_flags_and_the_configuration(phichat: Run, folder: Path) -> None:
    write(folder / "rows.jsonl", [{"q": f"question {n}", "a": f"answer {n}"} for n in range(40)])
    with (folder / "phichat.toml").open("a") as file:
        file.write('[data]\nsource = "./rows.jsonl"\nseed = 5\n')
    done = phichat("data", "--map", "user=q,assistant=a", "--test-size", "0.5")
    assert done.code == 0, done.err
    assert "seed 5" in done.out
    held = int(done.out.partition(" to evaluate on")[0].rpartition(" ")[2])
    assert 10 <= held <= 30


def test_problems_are_told_one_by_one(phichat: Run, folder: Path) -> None:
    write(folder / "rows.jsonl", [tower(1), chat("a", ""), tower(2)])
    done = phichat("data", "rows.jsonl")
    assert done.code == 1
    assert done.out == ""
    assert "rows.jsonl, line 2, messages[1].content: the text is empty.\n" in done.err
    assert "phichat: 1 of 3 rows of rows.jsonl have errors: 1 empty text." in done.err
    done = phichat("data", "rows.jsonl", "--skip-bad")
    assert done.code == 0
    assert "1 left out, in bad.jsonl: 1 empty text" in done.out


def test_of_hundreds_of_problems_the_first_are_told_and_the_file_with_all(phichat: Run, folder: Path) -> None:
    write(folder / "rows.jsonl", [tower(1), *[chat("a", "")] * 300])
    done = phichat("data", "rows.jsonl")
    assert done.err.count("the text is empty.") == SHOWN
    (more,) = [line for line in done.err.splitlines() if line.startswith("…")]
    assert more.startswith("… and 280 more: all 300 are in ")
    file = Path(more.partition(" are in ")[2])
    assert len(file.read_text().splitlines()) == 300


def test_events_and_the_manifest_as_json(phichat: Run, folder: Path) -> None:
    done = phichat("data", "demo", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert lines[0]["kind"] == "step"
    assert lines[-1]["kind"] == "manifest"
    assert lines[-1]["counts"]["train"] == 51
    write(folder / "rows.jsonl", [tower(1), chat("a", ""), tower(2)])
    done = phichat("data", "rows.jsonl", "--json")
    assert done.code == 1
    assert json.loads(done.out.splitlines()[-1])["line"] == 2


def test_what_was_found_is_said(phichat: Run, folder: Path) -> None:
    rows = [*map(tower, range(12)), tower(3), {**chat("Ask whom?", "ann@corp.io"), "topic": "people"}]
    write(folder / "rows.jsonl", rows)
    done = phichat("data", "rows.jsonl", "--duplicates", "remove", "--personal", "mask")
    assert "duplicates     1 row (removed, in removed.jsonl)" in done.out
    assert "personal data  1 row: 1 email (masked)" in done.out
    assert "ignored        topic (1 times): no field of a conversation" in done.out
    assert "not checked" in done.out


@pytest.mark.parametrize("wrong", ["user", "user=", "robot=a", "user=a,,"])
def test_a_map_that_cannot_be_understood(phichat: Run, wrong: str) -> None:
    done = phichat("data", "demo", "--map", wrong)
    assert done.code == 2
    assert "--map user=question,assistant=answer" in done.err


@pytest.mark.parametrize("flag", ["--split", "--subset", "--revision"])
def test_what_only_the_hub_has_is_refused_elsewhere(phichat: Run, flag: str) -> None:
    done = phichat("data", "demo", flag, "x")
    assert (done.code, done.out) == (2, "")
    assert f"{flag} is for datasets of the hub, and demo is none." in done.err


def test_no_source(phichat: Run) -> None:
    done = phichat("data")
    assert done.code == 2
    assert "phichat data demo" in done.err


def test_standard_input(process: Run) -> None:
    rows = "".join(json.dumps(tower(number)) + "\n" for number in range(10))
    done = process("data", "-", stdin=rows)
    assert done.code == 0, done.err
    assert "standard input: 10 rows" in done.out
    assert done.err.endswith("Next: phichat train\n")
