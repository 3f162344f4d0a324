"""What a job has said is said again by the next machine, between two lines that say so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from story import FOLDER, PIECE, Story


def kinds(said: bytes) -> list[str]:
    return [json.loads(line)["kind"] for line in said.splitlines()]


def test_nothing_is_kept_unless_somebody_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    assert Story.here() is None
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert Story.here() is not None


def test_each_machine_says_what_all_before_it_have_said(tmp_path: Path) -> None:
    folder = tmp_path / "story"
    first = Story(folder)
    assert first.again() == b""
    first.add(b'{"kind": "status"}\n')
    second = Story(folder)
    assert kinds(second.again()) == ["replay", "status", "start"]
    second.add(b'{"kind": "metric"}\n')
    third = Story(folder).again()
    assert kinds(third) == ["replay", "status", "start", "metric", "start"]
    assert [json.loads(line).get("number") for line in third.splitlines()] == [None, None, 1, None, 2]


def test_a_long_story_is_kept_in_pieces_and_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    story = Story(tmp_path)
    line = b'{"kind": "log", "line": "%s"}\n' % (b"x" * (PIECE // 2))
    for _ in range(3):
        story.add(line)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["000000.jsonl", "000001.jsonl"]
    with (tmp_path / "000001.jsonl").open("ab") as file:
        file.write(b'{"kind": "metr')
    assert kinds(Story(tmp_path).again()) == ["replay", "log", "log", "log", "start"]
    assert kinds(Story(tmp_path).again()) == ["replay", "log", "log", "log", "start", "start"]


def test_a_place_where_nothing_can_be_kept_does_not_disturb_the_work(tmp_path: Path) -> None:
    (tmp_path / "story").write_text("a file", encoding="utf-8")
    Story(tmp_path / "story").add(b'{"kind": "status"}\n')
