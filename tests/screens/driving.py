"""Driving the running application, and looking at it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from textual import events
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Markdown

from phichat.screens.chat.messages import Answer
from phichat.screens.chat.prompt import Prompt
from phichat.screens.chat.screen import ChatScreen
from phichat.screens.readiness import Phase


def chat(pilot: Pilot[None]) -> ChatScreen:
    """The chat screen of a running application."""
    screen = pilot.app.screen
    assert isinstance(screen, ChatScreen)
    return screen


def prompt(pilot: Pilot[None]) -> Prompt:
    """Where one types."""
    return chat(pilot).query_one(Prompt)


def shown_answer(pilot: Pilot[None]) -> str:
    """The source of what the last answer shows as Markdown."""
    return chat(pilot).query(Answer).last().query_one(Markdown).source


async def phase(pilot: Pilot[None], wanted: Phase) -> None:
    """Wait until the model is that far."""
    session = chat(pilot).session
    await until(pilot, lambda: session.readiness.phase == wanted and not session.looking)


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Let the application work until something is so: a thread or a pump may be on its way."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"It did not come to that:\n{picture(pilot)}"
        await asyncio.sleep(0.01)
    await pilot.pause()


async def still(pilot: Pilot[None]) -> None:
    """Wait until nothing moves any more, for a picture that is the same on a machine that is busy."""
    before: list[Strip] = []
    same = 0
    deadline = time.monotonic() + 30
    while same < 3:
        assert time.monotonic() < deadline, f"It never came to rest:\n{picture(pilot)}"
        await pilot.pause(0.02)
        now = strips(pilot)
        same = same + 1 if now == before else 0
        before = now


async def settled(pilot: Pilot[None]) -> None:
    """Wait until every answer is shown to its end."""
    at_work = ("answer", "pump")
    await until(pilot, lambda: chat(pilot).conversation.running is None)
    await until(
        pilot, lambda: not any(each.is_running for each in pilot.app.workers if each.group in at_work)
    )


async def write(pilot: Pilot[None], text: str) -> None:
    """Paste a text: the pilot takes 60 ms to press one key."""
    pilot.app.post_message(events.Paste(text))
    await pilot.pause()


async def ask(pilot: Pilot[None], question: str) -> None:
    """Write a question and send it."""
    await write(pilot, question)
    await pilot.press("enter")


def strips(pilot: Pilot[None]) -> list[Strip]:
    """The lines of the screen as they are drawn."""
    return pilot.app.screen._compositor.render_strips(pilot.app.size)


def picture(pilot: Pilot[None]) -> str:
    """Everything that is to be seen, as lines of text."""
    return "\n".join(line.text.rstrip() for line in strips(pilot))
