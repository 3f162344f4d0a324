"""`phichat chat` in a terminal: a conversation that can be stopped, gone on with, and left."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.cli.pty_session import session


def test_a_conversation_remembers(project: Path) -> None:
    with session("chat", cwd=project) as terminal:
        terminal.until("> ")
        terminal.type("Hello\n")
        terminal.until("Hello\r\nHello\r\n(1 tokens")
        terminal.until("> ")
        terminal.type("/help\n")
        assert "/attach WORDS shows the model" in terminal.until("> ")
        terminal.type("Again\n")
        terminal.until("user: assistant: Again\r\n")
        terminal.until("> ")
        terminal.type("/bye\n")
        assert terminal.ended() == 0


def test_ctrl_c_stops_the_answer_and_keeps_it(project: Path) -> None:
    with session("chat", cwd=project) as terminal:
        terminal.until("> ")
        terminal.type("forever\n")
        terminal.until("forever!!!")
        terminal.type("\x03")
        terminal.until("(stopped)")
        terminal.until("> ")
        terminal.type("next\n")
        terminal.until("user: assistant: next")
        terminal.until("> ")
        terminal.type("\x04")
        assert terminal.ended() == 0


def test_another_chat_template_than_the_models_is_told_once(project: Path) -> None:
    with session("chat", cwd=project) as terminal:
        terminal.until("> ")
        terminal.type("Which template?\n")
        terminal.until("is not the one that its model was trained with")
        terminal.until("> ")
        terminal.type("Which template, again?\n")
        assert "trained with" not in terminal.until("> ")


def test_ctrl_c_at_the_prompt_leaves(project: Path) -> None:
    with session("chat", cwd=project) as terminal:
        terminal.until("> ")
        # A last Ctrl-C may meet an interpreter that has nothing more to do: a shell calls that 130 as well.
        assert terminal.ended(pressing="\x03") in (130, -signal.SIGINT)


def test_a_failed_answer_does_not_end_the_conversation(project: Path) -> None:
    with session("chat", cwd=project) as terminal:
        terminal.until("> ")
        terminal.type("vanish\n")
        terminal.until("phichat: The parrot has flown away.")
        terminal.until("> ")
        terminal.type("back\n")
        terminal.until("back\r\nback\r\n")


def test_with_a_prompt_a_terminal_gets_one_answer(project: Path) -> None:
    with session("chat", "-p", "Hello", cwd=project) as terminal:
        terminal.until("Hello\r\n(1 tokens")
        assert terminal.ended() == 0


def test_the_download_is_offered(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_CACHE", str(tmp_path / "cache"))
    with session("chat", "--backend", "local", "--model", "smollm2", cwd=project) as terminal:
        terminal.until("smollm2 is not on this machine yet. Fetch it (93 MB)? [Y/n] ")
        terminal.type("n\n")
        assert terminal.ended() == 1


def test_a_plain_conversation_says_who_speaks_and_draws_nothing_twice(project: Path) -> None:
    with session("chat", "--plain", cwd=project) as terminal:
        before = terminal.until("You: ")
        terminal.type("Hello\n")
        told = terminal.until("Model: Hello\r\n")
        terminal.until("You: ")
        terminal.type("forever\n")
        terminal.until("Model: ")
        terminal.type("\x03")
        told += terminal.until("(stopped)")
        told += terminal.until("You: ")
        terminal.type("/bye\n")
        assert terminal.ended() == 0
    assert "\x1b" not in before + told, "an escape sequence"
    assert "\r" not in (before + told).replace("\r\n", ""), "a line that is drawn again"
