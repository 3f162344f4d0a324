"""Summaries and excerpts stand where a model reads them, and hide nothing from the person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from phichat.backends.base import Usage
from phichat.errors import HistoryError
from phichat.history import Conversation, ConversationLog, StoredMessage
from phichat.history.formats import jsonl, openai
from phichat.history.notes import EXCERPT_LENGTH, Note, excerpt, summary
from phichat.history.sqlite import SqliteStore
from tests.history.store_suite import closing


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[ConversationLog]:
    """A conversation that is held in a store."""
    async with closing(SqliteStore(tmp_path / "history.db")) as store:
        yield ConversationLog(store, Conversation(title="Animals", system="Be brief."))


async def answered(log: ConversationLog, question: str, answer: str, *notes: Note) -> StoredMessage:
    """A question with its notes, and its answer."""
    await log.ask(question, notes)
    written = await log.begin(model="m")
    written.add(answer)
    await written.stop()
    log.transcript = log.transcript.having(written.message)
    return written.message


def told(log: ConversationLog) -> list[tuple[str, str]]:
    """What the model would be shown next."""
    return [(message.role, message.content) for message in log.prompt]


async def test_an_excerpt_is_read_with_the_question_it_was_attached_to(log: ConversationLog) -> None:
    note = Note("From elsewhere: quokkas smile.", "excerpt c m")
    await answered(log, "Do they?", "They do.", note)
    await log.ask("Why?")
    assert told(log) == [
        ("system", "Be brief."),
        ("user", "From elsewhere: quokkas smile.\n\nDo they?"),
        ("assistant", "They do."),
        ("user", "Why?"),
    ]
    assert [message.role for message in log.branch] == ["system", "user", "assistant", "user"]
    assert log.branch[0].content == note.content, "the person sees it at its place"


async def test_a_summary_stands_for_what_was_before_and_for_nothing_else(log: ConversationLog) -> None:
    first = await answered(log, "One?", "1", Note("Attached.", "excerpt c m"))
    second = await answered(log, "Two?", "2")
    await log.ask("Three?", [summary(" They count. ", first)])
    head = "What was said before, in short:\n\nThey count."
    expected = [("system", "Be brief."), ("user", f"{head}\n\nTwo?"), ("assistant", "2"), ("user", "Three?")]
    assert told(log) == expected
    await log.ask("Four?", [summary("They still count.", second)])
    assert told(log)[1:] == [
        ("user", "What was said before, in short:\n\nThey still count.\n\nThree?"),
        ("user", "Four?"),
    ]
    assert [message.content for message in log.branch if message.role == "assistant"] == ["1", "2"]


async def test_what_the_model_was_shown_can_be_told(log: ConversationLog) -> None:
    first = await answered(log, "One?", "1")
    await log.ask("Two?")
    answer = StoredMessage(
        conversation_id=log.conversation.id,
        parent_id=log.conversation.leaf,
        role="assistant",
        usage=Usage(prompt_tokens=1, completion_tokens=1, finish_reason="stop", dropped_messages=2),
    )
    transcript = log.transcript.having(answer)
    assert [message.content for message in transcript.shown(answer.id)] == ["Be brief.", "Two?"]
    assert [message.content for message in transcript.shown(first.id)] == ["Be brief.", "One?"]


async def test_training_files_have_excerpts_and_whole_turns_in_place_of_summaries(
    log: ConversationLog,
) -> None:
    first = await answered(log, "One?", "1", Note("Attached.", "excerpt c m"))
    await answered(log, "Two?", "2", summary("Short.", first))
    messages = [
        message.model_copy(update={"state": "complete"}) if message.role == "assistant" else message
        for message in log.transcript.messages
    ]
    for message in messages:
        log.transcript = log.transcript.having(message)
    line = openai(log.transcript)
    assert '"Attached.\\n\\nOne?"' in line and '"Two?"' in line
    assert "Short." not in line
    assert "Short." in jsonl(log.transcript)


async def test_a_question_that_is_taken_back_takes_its_notes_along(log: ConversationLog) -> None:
    await answered(log, "One?", "1")
    before = log.conversation.leaf
    asked = await log.ask("Two?", [Note("Attached.", "excerpt c m")])
    log.retry(asked.id)
    assert log.conversation.leaf == before


async def test_asking_again_after_a_failure_has_the_notes_once(
    log: ConversationLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await answered(log, "One?", "1")
    append = log._store.append

    async def fail(message: StoredMessage) -> None:
        if message.role == "user":
            raise HistoryError("The disk is full.")
        await append(message)

    with monkeypatch.context() as patch:
        patch.setattr(log._store, "append", fail)
        with pytest.raises(HistoryError):
            await log.ask("Two?", [Note("Attached.", "excerpt c m")])
    await log.ask("Two?", [Note("Attached.", "excerpt c m")])
    assert told(log)[-1] == ("user", "Attached.\n\nTwo?")


async def test_an_excerpt_is_a_question_with_its_answer(log: ConversationLog) -> None:
    answer = await answered(log, "Where does the quokka live?", "On Rottnest Island. " + "x" * 5000)
    question = log.branch[0]
    for message_id in (question.id, answer.id):
        note = excerpt(log.transcript, message_id)
        assert note.content.startswith("From an earlier conversation, “Animals”, 20")
        assert "User: Where does the quokka live?\n\nAssistant: On Rottnest Island. x" in note.content
        assert len(note.content) < EXCERPT_LENGTH + 200 and note.content.endswith("…")
        assert note.detail == f"excerpt {log.conversation.id} {message_id}"
