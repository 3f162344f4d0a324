"""The states of what is around a conversation: the others, its options, the versions of a message."""

from __future__ import annotations

from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from phichat.backends.base import Usage
from phichat.history import Conversation
from phichat.screens.chat.messages import Said
from phichat.screens.chat.sidebar import ConversationList
from phichat.screens.chat.transcript import Transcript
from phichat.screens.compare.round import Ballot
from phichat.screens.compare.screen import CompareScreen
from tests.screens.driving import ask, chat, picture, settled, until, write
from tests.screens.scripted import Script

TITLES = ("Who founded Microsoft, and when?", "Lighthouses of Brittany", "A poem about rain, in three lines")


async def chats(pilot: Pilot[None], script: Script) -> None:
    await versions(pilot, script)
    project = chat(pilot).session.project
    assert project is not None
    for title in TITLES[1:]:
        await project.history.create(Conversation(title=title, project=str(project.root)))
    await pilot.press("f2")
    rows = chat(pilot).query_one(ConversationList)
    await until(pilot, lambda: len(rows.options) == len(TITLES))
    await pilot.press("down")


async def options(pilot: Pilot[None], script: Script) -> None:
    await versions(pilot, script)
    await pilot.press("f3")
    field = chat(pilot).query_one("#option-temperature", Input)
    await until(pilot, lambda: field.has_focus)
    field.value = "5"
    await until(pilot, lambda: "✗ Temperature" in picture(pilot))


async def versions(pilot: Pilot[None], script: Script) -> None:
    script.loaded.set()
    await until(pilot, lambda: chat(pilot).session.readiness.phase == "ready")
    script.say("In 1974.")
    await ask(pilot, TITLES[0])
    await settled(pilot)
    script.say("In **1975**, by Bill Gates and Paul Allen.")
    await pilot.press("ctrl+r")
    await settled(pilot)
    # What it cost is measured, and would be another in every picture.
    (turn,) = chat(pilot).conversation.turns
    assert turn.reply is not None
    turn.reply = turn.reply.model_copy(
        update={
            "prompt_tokens": 320,
            "completion_tokens": 17,
            "ttft_s": 0.42,
            "tokens_per_s": 23.7,
            "context": 8192,
        }
    )
    view = chat(pilot).query_one(Transcript).view(turn)
    assert view is not None
    await view.settle()
    await pilot.press("shift+tab")


async def compared(pilot: Pilot[None], script: Script) -> None:
    script.loaded.set()
    await until(pilot, lambda: chat(pilot).session.readiness.phase == "ready")
    await pilot.press("f4")
    screen = pilot.app.screen
    assert isinstance(screen, CompareScreen)
    await until(pilot, lambda: screen._pair is not None)
    await write(pilot, TITLES[0])
    for answer in ("Bill Gates and Paul Allen, in **1975**.",) * 2:
        script.answers.put_nowait(answer)
        script.answers.put_nowait(Usage(prompt_tokens=12, completion_tokens=1, finish_reason="stop"))
    await pilot.press("enter")
    await until(pilot, lambda: screen.query_one(Ballot).display)


async def long(pilot: Pilot[None], script: Script) -> None:
    """A long conversation, where a search has found something in its middle."""
    script.loaded.set()
    await until(pilot, lambda: chat(pilot).session.readiness.phase == "ready")
    log = await chat(pilot).session.conversation()
    for number in range(1, 26):
        question = await log.ask(f"What is in crate {number}?")
        await log._add("assistant", f"In crate {number} are {number} bottles of lamp oil.", question.id)
    await pilot.press("f2")
    await write(pilot, '"crate 12"')
    rows = chat(pilot).query_one(ConversationList)
    await until(pilot, lambda: bool(rows.options) and "crate 12" in picture(pilot))
    await pilot.press("enter")
    await until(pilot, lambda: "In crate 12 are" in picture(pilot) and isinstance(pilot.app.focused, Said))


async def attaching(pilot: Pilot[None], script: Script) -> None:
    """Two places of another conversation, one of which is attached."""
    await versions(pilot, script)
    await pilot.press("escape", "ctrl+n", "f8")
    await write(pilot, "microsoft")
    places = pilot.app.screen.query_one(OptionList)
    await until(pilot, lambda: bool(places.options))
    await pilot.press("down", "enter")


async def answerers(pilot: Pilot[None], script: Script) -> None:
    script.loaded.set()
    await until(pilot, lambda: chat(pilot).session.readiness.phase == "ready")
    await pilot.press("f5")
    await until(pilot, lambda: "does not run" in picture(pilot))


async def exporting(pilot: Pilot[None], script: Script) -> None:
    await chats(pilot, script)
    await pilot.press("x")


CHAT_STATES = {
    "compared": compared,
    "chats": chats,
    "options": options,
    "versions": versions,
    "long": long,
    "attaching": attaching,
    "answerers": answerers,
    "exporting": exporting,
}
