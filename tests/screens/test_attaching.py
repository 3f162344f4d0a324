"""Text files that go with a question."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from phichat.errors import DataError
from phichat.screens.chat.attaching import LIMIT, attached, begun, files_in, matches
from tests.screens.driving import ask, picture, prompt, settled, until, write
from tests.screens.scripted import Script


def test_a_mentioned_file_is_below_the_question_and_other_words_are_left(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("```\ncode\n```\n", encoding="utf-8")
    text = "See @a.md and @nobody, or write to x@a.md"
    assert attached(text, tmp_path) == f"{text}\n\na.md:\n````\n```\ncode\n```\n````"


@pytest.mark.parametrize("name", ["~nobody-of-that-name", "x" * 5000, "a\0b", "~"])
def test_what_can_be_no_file_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    assert attached(f"See @{name} please", tmp_path) == f"See @{name} please"


@pytest.mark.parametrize(
    ("content", "told"), [(b"x" * (LIMIT + 1), "at most 64 kB"), (b"\xff\x00", "as text")]
)
def test_what_is_too_large_or_no_text_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=told):
        attached("@a", tmp_path)


def test_files_are_found_by_some_of_their_letters(tmp_path: Path) -> None:
    for name in ("notes/lamp.txt", "notes/other.md", ".git/config", "venv/lib.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files_in(tmp_path) == ["notes/lamp.txt", "notes/other.md"]
    assert matches("lmp", files_in(tmp_path)) == ["notes/lamp.txt"]
    assert begun("see @no") == "no"
    assert begun("a@b") is None


async def test_a_file_is_offered_taken_and_sent(pilot: Pilot[None], script: Script, folder: Path) -> None:
    (folder / "lamp.txt").write_text("It turns.", encoding="utf-8")
    (folder / "log.txt").write_text("Nothing.", encoding="utf-8")
    await write(pilot, "What does @")
    await until(pilot, lambda: "› @lamp.txt" in picture(pilot) and "  @log.txt" in picture(pilot))
    await pilot.press("down", "up", "tab")
    assert prompt(pilot).text == "What does @lamp.txt "
    assert "›" not in picture(pilot)
    script.say("It turns.")
    await ask(pilot, "say?")
    await settled(pilot)
    assert script.asked[0][0].content == "What does @lamp.txt say?\n\nlamp.txt:\n```\nIt turns.\n```"


async def test_a_question_whose_file_is_too_large_stays_in_the_prompt(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    (folder / "big").write_bytes(b"x" * (LIMIT + 1))
    await ask(pilot, "Read @big please")
    await until(pilot, lambda: any("at most 64 kB" in n.message for n in pilot.app._notifications))
    assert prompt(pilot).text == "Read @big please"
    assert script.asked == []
