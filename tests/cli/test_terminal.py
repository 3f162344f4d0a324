"""Questions, tables and sizes: what people see beside the data."""

from __future__ import annotations

import sys

import pytest

from phichat.cli.guard import tell
from phichat.cli.terminal import ask, narrate, out, size, table
from phichat.errors import PhichatError
from tests.cli.conftest import Typed


@pytest.mark.parametrize(
    ("typed", "default", "answer"),
    [
        ("y\n", False, True),
        ("YES\n", False, True),
        ("n\n", True, False),
        ("what?\n", True, False),
        ("\n", True, True),
        ("\n", False, False),
        ("", True, False),
    ],
)
def test_what_an_answer_means(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    default: bool,
    answer: bool,
) -> None:
    monkeypatch.setattr(sys, "stdin", Typed(typed))
    assert ask("Really?", default) is answer
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Really? [Y/n] " if default else "Really? [y/N] ")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (92.9e6, "93 MB"), (7.64e9, "7.6 GB")],
)
def test_sizes_for_people(count: float, text: str) -> None:
    assert size(count) == text


def test_columns_are_aligned() -> None:
    assert table([("a", "bb", "c"), ("aaa", "b", "")]) == "a    bb  c\naaa  b"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b]52;c;aGFja2Vk\x07", "␛]52;c;aGFja2Vk␇"),
        ("\x1b[2J\x9b2J", "␛[2J�2J"),
        ("\x1b\x1b[0m[2J", "␛[2J"),
        ("\x1b[1;31merror:\x1b[0m no\troom", "error: no\troom"),
        ("10 %\r100 %\r\ndone\x08\x7f", "10 %\n100 %\ndone␈␡"),
        ("Über “Phi” 🎉\n", "Über “Phi” 🎉\n"),
    ],
)
def test_a_terminal_gets_no_commands_and_a_pipe_what_there_is(
    text: str, seen: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said() -> tuple[str, str]:
        out(text, end="")
        narrate(text)
        tell(PhichatError(text, text))
        return capsys.readouterr()

    assert said() == (text, f"{text}\nphichat: {text}\n  {text}\n")
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    assert said() == (seen, f"{seen}\nphichat: {seen}\n  {seen}\n")
