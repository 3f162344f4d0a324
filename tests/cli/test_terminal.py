"""Questions, tables and sizes: what people see beside the data."""

from __future__ import annotations

import sys

import pytest

from phichat.cli.terminal import ask, size, table
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
