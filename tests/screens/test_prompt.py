"""Typing: sending, new lines, pasting, and what was sent before."""

from collections.abc import AsyncGenerator

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from phichat.screens.chat.prompt import Prompt
from tests.screens.driving import write


class Typing(App[None]):
    """A prompt, and what was sent from it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def compose(self) -> ComposeResult:
        yield Prompt("Ask")

    def on_prompt_sent(self, event: Prompt.Sent) -> None:
        self.sent.append(event.text)
        self.query_one(Prompt).take()


@pytest.fixture
async def pilot() -> AsyncGenerator[Pilot[None], None]:
    async with Typing().run_test(size=(40, 12)) as pilot:
        yield pilot


def prompt(pilot: Pilot[None]) -> Prompt:
    return pilot.app.query_one(Prompt)


def sent(pilot: Pilot[None]) -> list[str]:
    assert isinstance(pilot.app, Typing)
    return pilot.app.sent


async def test_enter_sends_and_empties_the_field(pilot: Pilot[None]) -> None:
    await write(pilot, "hello")
    await pilot.press("enter")
    assert sent(pilot) == ["hello"]
    assert prompt(pilot).text == ""


async def test_nothing_is_sent_when_there_is_only_white_space(pilot: Pilot[None]) -> None:
    await pilot.press("space", "ctrl+j", "enter")
    assert sent(pilot) == []
    assert prompt(pilot).text == " \n"


@pytest.mark.parametrize("key", ["ctrl+j", "shift+enter"])
async def test_a_new_line_replaces_what_is_selected(pilot: Pilot[None], key: str) -> None:
    await write(pilot, "ab")
    await pilot.press("shift+left", key, "c", "enter")
    assert sent(pilot) == ["a\nc"]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
async def test_pasted_lines_stay_lines(pilot: Pilot[None], ends: str) -> None:
    await write(pilot, ends.join(["one", "two", "", "three"]))
    await pilot.press("enter")
    assert sent(pilot) == ["one\ntwo\n\nthree"]


async def test_the_arrow_keys_go_through_what_was_sent_and_back_to_the_draft(pilot: Pilot[None]) -> None:
    for text in ("first", "second"):
        await write(pilot, text)
        await pilot.press("enter")
    await write(pilot, "draft")
    shown = []
    for key in ("up", "up", "up", "down", "down", "down"):
        await pilot.press(key)
        shown.append(prompt(pilot).text)
    assert shown == ["second", "first", "first", "second", "draft", "draft"]


async def test_inside_a_text_the_arrow_keys_move_the_cursor(pilot: Pilot[None]) -> None:
    await write(pilot, "sent")
    await pilot.press("enter")
    await write(pilot, "a" * 50)  # wraps: two rows, one line
    await pilot.press("up")
    assert prompt(pilot).text == "a" * 50
    await pilot.press("up")
    assert prompt(pilot).text == "sent"


async def test_sending_the_same_again_is_remembered_once(pilot: Pilot[None]) -> None:
    for text in ("first", "again", "again"):
        await write(pilot, text)
        await pilot.press("enter")
    await pilot.press("up", "up")
    assert prompt(pilot).text == "first"


async def test_an_idle_prompt_has_no_timer(pilot: Pilot[None]) -> None:
    assert prompt(pilot).blink_timer._active.is_set() is False
