"""`phichat` alone: the application, where there is a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.pty_session import session

FULL_SCREEN = "\x1b[?1049h"


def test_the_application_opens_and_is_left(project: Path) -> None:
    with session(cwd=project) as terminal:
        terminal.until(FULL_SCREEN)
        terminal.until("Chat")
        terminal.type("\x11")
        assert terminal.ended() == 0


@pytest.mark.parametrize("keys", ["\x1b1", "\x1b[20~1"], ids=["alt", "f9"])
def test_one_goes_by_number_while_one_types(project: Path, keys: str) -> None:
    with session(cwd=project) as terminal:
        terminal.until("Ask a question")
        terminal.type(f"Who{keys}")
        terminal.until("Escape back")
        terminal.type("5" if keys == "\x1b1" else "\x1b5")
        terminal.until("Who")
        terminal.type("\x11")
        assert terminal.ended() == 0


def test_a_mistyped_flag_is_answered_in_the_shell(project: Path) -> None:
    with session("--set", "data.sede=1", cwd=project) as terminal:
        assert FULL_SCREEN not in terminal.until("phichat: The flag --set data.sede is not a key")
        assert terminal.ended() == 2


def test_without_a_terminal_it_does_not_open(phichat: Run) -> None:
    done = phichat()
    assert (done.code, done.out) == (2, "")
    assert done.err == 'phichat: The application needs a terminal.\n  Without one: phichat chat -p "…"\n'
