"""A conversation while it is held: what is shown is kept before, whatever happens next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from phichat.backends.base import ChatOptions, Message, Usage
from phichat.errors import HistoryError, NotFoundError, UnavailableError
from phichat.events import Piece, Reply
from phichat.history import Conversation, ConversationLog, HistoryStore, StoredMessage, Transcript
from phichat.history.answer import read_ahead
from phichat.history.log import heading
from phichat.history.sqlite import SqliteStore
from tests.history.store_suite import closing, listed


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[HistoryStore]:
    """An empty store."""
    async with closing(SqliteStore(tmp_path / "conversations.db")) as store:
        yield store


@pytest.fixture
def log(store: HistoryStore) -> ConversationLog:
    """A new conversation."""
    return ConversationLog(store, Conversation(project="/p", system="Be brief."))


def reply(text: str, tokens_per_s: float = 20.0) -> Reply:
    """A whole answer."""
    return Reply(
        text=text,
        prompt_tokens=5,
        completion_tokens=2,
        finish_reason="stop",
        context=2048,
        ttft_s=0.5,
        tokens_per_s=tokens_per_s,
    )


async def model(*parts: str | Exception | None) -> AsyncGenerator[Piece | Reply, None]:
    """Says the pieces and replies with all of them; raises an exception, or waits for ever at None."""
    said = ""
    for part in parts:
        if isinstance(part, Exception):
            raise part
        if part is None:
            await asyncio.Event().wait()
        else:
            said += part
            yield Piece(text=part)
            await asyncio.sleep(0)
    yield reply(said)


async def answered(log: ConversationLog, *parts: str | Exception | None) -> StoredMessage:
    """An answer, recorded to its end."""
    async with contextlib.aclosing(log.record(model(*parts), model="m")) as recorded:
        async for _ in recorded:
            pass
    return log.branch[-1]


async def told(store: HistoryStore, log: ConversationLog) -> Transcript:
    """The conversation as it is stored; it must be as the log believes."""
    stored = await store.read(log.conversation.id)
    assert stored.messages == log.transcript.messages
    return stored


def contents(messages: list[StoredMessage]) -> list[str]:
    """What they say."""
    return [message.content for message in messages]


async def test_nothing_is_kept_before_the_first_question(store: HistoryStore, log: ConversationLog) -> None:
    await log.rename("A title of my own")
    assert await listed(store) == []
    await log.ask("Who founded Microsoft?")
    assert await listed(store, project="/p") == [log.conversation.id]
    assert (await told(store, log)).conversation.title == "A title of my own"


async def test_a_conversation_is_named_after_its_first_question(
    store: HistoryStore, log: ConversationLog
) -> None:
    await log.ask("\n Who founded Microsoft?\nAnd when?")
    await log.ask("Something else")
    assert (await store.get(log.conversation.id)).title == "Who founded Microsoft?"
    await log.rename("Microsoft")
    assert (await store.get(log.conversation.id)).title == log.conversation.title == "Microsoft"


@pytest.mark.parametrize(
    ("text", "title"),
    [("", ""), ("word " * 30, f"{('word ' * 12)[:-1]}…"), ("x" * 100, f"{'x' * 59}…"), ("y" * 60, "y" * 60)],
)
def test_a_title_is_cut_between_words(text: str, title: str) -> None:
    assert heading(text) == title


async def test_a_turn_is_kept_with_all_that_is_known_of_it(store: HistoryStore, log: ConversationLog) -> None:
    options = ChatOptions(seed=7)
    question = await log.ask("Who?")
    assert log.prompt == [Message(role="system", content="Be brief."), Message(role="user", content="Who?")]
    parts = log.record(
        model("Bill", " Gates"),
        backend="local",
        deployment="base",
        model="smollm2",
        template_hash="abc",
        options=options,
    )
    shown = [part async for part in parts]
    assert [part.kind for part in shown][-1] == "reply"
    stored = await told(store, log)
    assert stored.branch()[0] == question
    answer = stored.branch()[1]
    assert (answer.role, answer.content, answer.state) == ("assistant", "Bill Gates", "complete")
    assert (answer.backend, answer.deployment, answer.model) == ("local", "base", "smollm2")
    assert (answer.template_hash, answer.options) == ("abc", options)
    assert answer.usage == Usage(prompt_tokens=5, completion_tokens=2, finish_reason="stop", context=2048)
    assert (answer.ttft_s, answer.tokens_per_s) == (0.5, 20.0)
    assert log.prompt[-1] == Message(role="assistant", content="Bill Gates")


async def test_every_piece_is_kept_before_it_is_passed_on(store: HistoryStore, log: ConversationLog) -> None:
    await log.ask("Who?")
    shown = ""
    async for part in log.record(model(*"one two three")):
        stored = (await store.read(log.conversation.id)).branch()[-1]
        if isinstance(part, Piece):
            shown += part.text
            assert (stored.content, stored.state) == (shown, "partial")
        else:
            assert (stored.content, stored.state) == ("one two three", "complete")
    assert shown == "one two three"


async def test_an_answer_that_is_closed_is_stopped_where_it_was_shown(
    store: HistoryStore, log: ConversationLog
) -> None:
    await log.ask("Who?")
    async with contextlib.aclosing(log.record(model("one", " two", None))) as parts:
        async for _ in parts:
            break
    answer = (await told(store, log)).branch()[-1]
    assert (answer.content, answer.state) == ("one", "stopped")


async def test_an_answer_that_is_cancelled_is_stopped(store: HistoryStore, log: ConversationLog) -> None:
    await log.ask("Who?")
    shown = asyncio.Event()

    async def show() -> None:
        async for _ in log.record(model("one", None)):
            shown.set()

    answering = asyncio.create_task(show())
    await shown.wait()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    answer = (await told(store, log)).branch()[-1]
    assert (answer.content, answer.state) == ("one", "stopped")


async def test_an_answer_that_fails_keeps_what_came_and_why_no_more(
    store: HistoryStore, log: ConversationLog
) -> None:
    await log.ask("Who?")
    with pytest.raises(UnavailableError, match="went away"):
        await answered(log, "Bill", UnavailableError("The server went away.", "phichat status"))
    answer = (await told(store, log)).branch()[-1]
    assert (answer.content, answer.state, answer.detail) == ("Bill", "failed", "The server went away.")


async def test_an_answer_without_a_reply_has_failed(store: HistoryStore, log: ConversationLog) -> None:
    async def silent() -> AsyncGenerator[Piece | Reply, None]:
        yield Piece(text="Bill")

    await log.ask("Who?")
    assert [part.kind async for part in log.record(silent())] == ["piece"]
    assert (await told(store, log)).branch()[-1].state == "failed"


async def test_another_answer_is_a_version_beside_the_first(
    store: HistoryStore, log: ConversationLog
) -> None:
    await log.ask("Who?")
    first = await answered(log, "Allen")
    log.retry()
    assert [message.role for message in log.prompt] == ["system", "user"]
    second = await answered(log, "Gates")
    stored = await told(store, log)
    assert stored.versions(first.id) == [first, second]
    assert contents(stored.branch()) == ["Who?", "Gates"]
    log.retry(first.id)
    third = await answered(log, "Ballmer")
    assert contents((await told(store, log)).versions(second.id)) == ["Allen", "Gates", "Ballmer"]
    assert log.branch[-1] == third


async def test_an_edited_question_begins_a_branch_and_the_other_can_be_shown_again(
    store: HistoryStore, log: ConversationLog
) -> None:
    question = await log.ask("Who?")
    await answered(log, "Gates")
    await log.ask("When?")
    await answered(log, "1975")
    edited = await log.edit(question.id, "What?")
    assert contents(log.branch) == ["What?"]
    await answered(log, "Software")
    await log.show(question.id)
    assert contents(log.branch) == ["Who?", "Gates", "When?", "1975"]
    assert contents((await told(store, log)).branch()) == contents(log.branch)
    await log.show(edited.id)
    assert contents((await told(store, log)).branch()) == ["What?", "Software"]


async def test_an_edited_answer_is_a_version_too(store: HistoryStore, log: ConversationLog) -> None:
    await log.ask("Who?")
    answer = await answered(log, "Allen")
    edited = await log.edit(answer.id, "Gates and Allen")
    assert (edited.role, edited.state) == ("assistant", "complete")
    assert (await told(store, log)).versions(answer.id) == [answer, edited]


async def test_a_stopped_answer_is_continued_as_another_version(
    store: HistoryStore, log: ConversationLog
) -> None:
    await log.ask("Who?")
    async with contextlib.aclosing(log.record(model("Bill", None))) as parts:
        async for _ in parts:
            break
    stopped = log.branch[-1]
    recorded = log.record(model(" Gates"), continues=stopped.id)
    assert [part.text async for part in recorded] == [" Gates", " Gates"]
    stored = await told(store, log)
    assert contents(stored.versions(stopped.id)) == ["Bill", "Bill Gates"]
    assert stored.branch()[-1].state == "complete"


async def test_two_models_answer_one_question_at_once(store: HistoryStore, log: ConversationLog) -> None:
    question = await log.ask("Who?")

    async def answer(name: str) -> None:
        async for _ in log.record(model(*f"{name} says Gates"), after=question.id, model=name):
            await asyncio.sleep(0)

    await asyncio.gather(answer("base"), answer("tuned"))
    versions = (await told(store, log)).versions(log.branch[-1].id)
    assert {(each.model, each.content, each.state) for each in versions} == {
        ("base", "base says Gates", "complete"),
        ("tuned", "tuned says Gates", "complete"),
    }


async def test_a_conversation_goes_on_where_it_was_left(store: HistoryStore, log: ConversationLog) -> None:
    await log.ask("Who?")
    await answered(log, "Gates")
    resumed = await ConversationLog.resume(store, log.conversation.id)
    assert resumed.branch == log.branch
    await resumed.ask("When?")
    assert contents((await told(store, resumed)).branch()) == ["Who?", "Gates", "When?"]
    with pytest.raises(NotFoundError):
        await ConversationLog.resume(store, "nothing")


async def test_an_answer_can_be_written_step_by_step(store: HistoryStore, log: ConversationLog) -> None:
    await log.ask("Who?")
    answer = await log.begin(model="m")
    await answer.write("Bill")
    assert (await store.read(log.conversation.id)).branch()[-1].content == "Bill"
    await answer.finish(reply("Bill Gates", tokens_per_s=float("inf")))
    stored = (await store.read(log.conversation.id)).branch()[-1]
    assert stored == answer.message
    assert (stored.content, stored.model, stored.tokens_per_s) == ("Bill Gates", "m", None)


# A store that fails


class Failing(SqliteStore):
    """A store whose disk is full while `full`."""

    full = False
    refused = 0

    async def append(self, message: StoredMessage) -> None:
        self._fail()
        await super().append(message)

    async def extend(self, conversation_id: str, message_id: str, text: str) -> None:
        self._fail()
        await super().extend(conversation_id, message_id, text)

    async def finish(self, message: StoredMessage) -> None:
        self._fail()
        await super().finish(message)

    def _fail(self) -> None:
        if self.full:
            self.refused += 1
            raise HistoryError("The disk is full.", "Free some disk space.")


@pytest.fixture
async def failing(tmp_path: Path) -> AsyncIterator[Failing]:
    """A store that can fail."""
    store = Failing(tmp_path / "conversations.db")
    async with closing(store):
        yield store


@pytest.mark.parametrize("from_piece", [0, 1, 2])
async def test_an_answer_that_cannot_be_kept_is_shown_whole_and_then_told(
    failing: Failing, from_piece: int
) -> None:
    log = ConversationLog(failing, Conversation())
    await log.ask("Who?")
    failing.full = from_piece == 0
    shown: list[str] = []
    with pytest.raises(HistoryError, match="disk is full"):
        async for part in log.record(model("one", " two", " three")):
            assert failing.full == (log.trouble is not None)
            shown.append(part.kind)
            failing.full = failing.full or len(shown) == from_piece
            await asyncio.sleep(0)
    assert shown[-1] == "reply"
    assert log.branch[-1].content == "one two three"


async def test_a_store_that_fails_is_not_asked_at_every_piece(failing: Failing) -> None:
    log = ConversationLog(failing, Conversation())
    await log.ask("Who?")
    failing.full = True
    with pytest.raises(HistoryError):
        await answered(log, *"a long answer in many pieces")
    assert failing.refused == 2  # when it begins and when it ends


async def test_an_answer_that_could_not_be_kept_is_kept_before_what_follows(failing: Failing) -> None:
    log = ConversationLog(failing, Conversation())
    await log.ask("Who?")
    failing.full = True
    async with contextlib.aclosing(log.record(model("one", None))) as parts:
        await anext(parts)
    with pytest.raises(HistoryError, match="disk is full"):
        await answered(log, "two")
    for attempt in (log.ask("When?"), log.show(log.branch[0].id), log.keep()):
        with pytest.raises(HistoryError, match="disk is full"):
            await attempt
    failing.full = False
    await log.ask("When?")
    assert log.trouble is None
    stored = (await told(failing, log)).branch()
    assert [(each.content, each.state) for each in stored] == [
        ("Who?", "complete"),
        ("one", "stopped"),
        ("two", "complete"),
        ("When?", "complete"),
    ]


async def test_what_could_not_be_kept_for_a_while_is_kept_in_the_end(failing: Failing) -> None:
    log = ConversationLog(failing, Conversation())
    await log.ask("Who?")
    failing.full = True
    async for part in log.record(model("one", " two", " three")):
        failing.full = isinstance(part, Piece) and "three" not in part.text
    assert log.trouble is None
    stored = await told(failing, log)
    assert (stored.branch()[-1].content, stored.branch()[-1].state) == ("one two three", "complete")


async def test_a_piece_that_failed_is_kept_with_the_next(failing: Failing) -> None:
    log = ConversationLog(failing, Conversation())
    await log.ask("Who?")
    answer = await log.begin()
    failing.full = True
    with pytest.raises(HistoryError):
        await answer.write("one")
    failing.full = False
    await answer.write(" two")
    assert (await failing.read(log.conversation.id)).branch()[-1].content == "one two"


async def test_a_question_that_cannot_be_kept_changes_nothing(failing: Failing) -> None:
    log = ConversationLog(failing, Conversation())
    failing.full = True
    with pytest.raises(HistoryError):
        await log.ask("Who?")
    assert log.branch == []
    failing.full = False
    await log.ask("Who?")
    assert contents((await told(failing, log)).branch()) == ["Who?"]


# Reading ahead


async def test_pieces_that_come_meanwhile_are_joined() -> None:
    shown = []
    async for part in read_ahead(model(*"abcdefghij")):
        shown.append(part)
        for _ in range(7):  # slower than they come
            await asyncio.sleep(0)
    assert "".join(part.text for part in shown if isinstance(part, Piece)) == "abcdefghij"
    assert 2 <= len(shown) < 8


async def test_a_piece_waits_for_no_other() -> None:
    async with contextlib.aclosing(read_ahead(model("first", None))) as parts:
        assert (await anext(parts)).text == "first"


async def test_closing_it_closes_the_stream() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[Piece | Reply, None]:
        try:
            while True:
                yield Piece(text="x")
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with contextlib.aclosing(read_ahead(endless())) as parts:
        await anext(parts)
    assert closed.is_set()


async def test_an_error_comes_after_the_pieces_before_it() -> None:
    shown = []
    with pytest.raises(UnavailableError):
        async for part in read_ahead(model("one", " two", UnavailableError("Gone."))):
            shown.append(part.text)
    assert "".join(shown) == "one two"
