"""What is said on the chat screen is in the history, whatever happens to the answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from phichat.backends.base import Message
from phichat.errors import HistoryError, UnavailableError
from phichat.history import StoredMessage
from phichat.history.sqlite import SqliteStore
from phichat.workflow import Project
from tests.screens.driving import ask, chat, picture, settled, until
from tests.screens.scripted import Script


async def stored(pilot: Pilot[None]) -> list[list[StoredMessage]]:
    """Every message of every conversation, as another program reads them."""
    project = chat(pilot).session.project
    assert project is not None
    async with Project.open(project.root) as other:
        ids = [conversation.id async for conversation in other.history.conversations()]
        return [list((await other.history.read(each)).messages) for each in ids]


def told(messages: list[StoredMessage]) -> list[tuple[str, str, str]]:
    return [(message.role, message.content, message.state) for message in messages]


async def test_questions_and_answers_are_kept_with_who_gave_them(pilot: Pilot[None], script: Script) -> None:
    script.say("Paris.")
    await ask(pilot, "Capital of France?")
    await settled(pilot)
    (messages,) = await stored(pilot)
    assert told(messages) == [
        ("user", "Capital of France?", "complete"),
        ("assistant", "Paris.", "complete"),
    ]
    answer = messages[1]
    assert (answer.backend, answer.model, answer.usage and answer.usage.prompt_tokens) == (
        "local",
        "smollm2",
        12,
    )


async def test_what_is_shown_is_kept_while_the_answer_is_written(pilot: Pilot[None], script: Script) -> None:
    await ask(pilot, "Count.")
    script.answers.put_nowait("One, two,")
    await until(pilot, lambda: "One, two," in picture(pilot))
    (messages,) = await stored(pilot)
    assert told(messages)[1] == ("assistant", "One, two,", "partial")
    await pilot.press("escape")
    await pilot.app.workers.wait_for_complete()
    (messages,) = await stored(pilot)
    assert told(messages)[1] == ("assistant", "One, two,", "stopped")


async def test_a_question_that_nobody_answered_is_kept_and_not_shown_to_the_model_again(
    pilot: Pilot[None], script: Script
) -> None:
    script.answers.put_nowait(UnavailableError("Nobody is there."))
    await ask(pilot, "First?")
    await settled(pilot)
    script.say("Yes.")
    await ask(pilot, "Second?")
    await settled(pilot)
    assert script.asked[-1] == [Message(role="user", content="Second?")]
    (messages,) = await stored(pilot)
    assert [message.content for message in messages if message.role == "user"] == ["First?", "Second?"]


async def test_a_new_chat_is_another_conversation(pilot: Pilot[None], script: Script) -> None:
    for question in ("One?", "Two?"):
        script.say("Yes.")
        await ask(pilot, question)
        await settled(pilot)
        await pilot.press("ctrl+n")
    assert [told(messages)[0][1] for messages in await stored(pilot)] == ["One?", "Two?"]


async def test_an_application_that_nobody_asked_leaves_no_trace(pilot: Pilot[None]) -> None:
    assert await stored(pilot) == []


async def test_a_history_that_cannot_be_opened_is_told(
    pilot: Pilot[None], script: Script, home: Path
) -> None:
    data = home / "phichat" / "data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "history.db").write_bytes(b"this is no database" * 1000)
    await ask(pilot, "Are you there?")
    await settled(pilot)
    turn = chat(pilot).conversation.last
    assert turn is not None and isinstance(turn.problem, HistoryError)
    assert "history.db" in turn.problem.message


async def test_an_answer_that_could_not_be_kept_is_shown_and_told(
    pilot: Pilot[None], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise HistoryError("The disk is full.")

    monkeypatch.setattr(SqliteStore, "finish", full)
    script.say("One,", " two.")
    await ask(pilot, "Count.")
    await settled(pilot)
    # The pilot shows no notifications; what is asked for is what counts.
    await until(pilot, lambda: [n.message for n in pilot.app._notifications] == ["The disk is full."])
    assert "One, two." in picture(pilot)
