"""A thousand conversations there and back are the same as before, letter by letter."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from phichat.backends.base import ChatOptions, Usage
from phichat.errors import HistoryError, UnreachableError
from phichat.history import Conversation, HistoryStore, Merged, StoredMessage, Transcript
from phichat.history.exports import export
from phichat.history.moving import move
from phichat.history.sqlite import SqliteStore
from tests.history.cosmos import Server, cosmos_server
from tests.history.store_suite import ANY_CHARACTER, begun, closing, said
from tests.history.test_synced import machine

__all__ = ["cosmos_server"]

CONVERSATIONS = 1000
LONG = 400_000
"""Characters that no single document can have."""


def conversation(number: int, chance: random.Random) -> Transcript:
    """A conversation with whatever one can have: any text, versions, seeds beyond a double, the bin."""

    def text(length: int) -> str:
        return "".join(map(chr, chance.choices(ANY_CHARACTER, k=length)))

    made = Conversation(title=text(10), project=f"/p{number % 3}", system=text(number % 20))
    question = StoredMessage(conversation_id=made.id, role="user", content=text(50))
    answers = [
        StoredMessage(
            conversation_id=made.id,
            parent_id=question.id,
            role="assistant",
            content=text(80) if number else "\U0001f389" * LONG,
            state=state,
            options=ChatOptions(temperature=chance.random(), seed=2**63 + number),
            usage=Usage(prompt_tokens=number, completion_tokens=2, finish_reason="stop", context=2048),
            ttft_s=chance.random(),
            detail=text(5),
        )
        for state in ("complete", "stopped")
    ]
    shown = {"leaf": answers[number % 2].id, "updated": answers[1].created}
    deleted = {"deleted": made.created + 1e6} if number % 10 == 0 else {}
    return Transcript(made.model_copy(update={**shown, **deleted}), (question, *answers))


async def every(store: HistoryStore) -> AsyncIterator[str]:
    """The ids of all conversations, the deleted ones as well."""
    for deleted in (False, True):
        async for each in store.conversations(deleted=deleted):
            yield each.id


async def test_a_thousand_conversations_there_and_back(tmp_path: Path, cosmos_server: Server) -> None:
    place = cosmos_server.place()
    async with AsyncExitStack() as stack:
        before, after = SqliteStore(tmp_path / "before.db"), SqliteStore(tmp_path / "after.db")
        one, other = machine(tmp_path / "one", place), machine(tmp_path / "other", place)
        for store in (before, after, one, other):
            stack.push_async_callback(store.aclose)
        chance = random.Random(7)
        await before.merge([conversation(number, chance) for number in range(CONVERSATIONS)])
        # The second machine has never seen them: what it has, it has from there.
        assert await move(before, one) == Merged(CONVERSATIONS, 0, 0)
        assert await move(other, after) == Merged(CONVERSATIONS, 0, 0)
        files = [tmp_path / "before.jsonl", tmp_path / "after.jsonl"]
        for store, file in zip((before, after), files, strict=True):
            assert await export(store, every(store), file, "jsonl") == CONVERSATIONS
        assert files[0].read_bytes() == files[1].read_bytes()


async def test_what_has_arrived_is_removed_if_one_says_so(tmp_path: Path, cosmos_server: Server) -> None:
    made = conversation(1, random.Random(1))
    async with (
        closing(SqliteStore(tmp_path / "here.db")) as here,
        closing(machine(tmp_path / "there", cosmos_server.place())) as there,
    ):
        await here.merge([made])
        cosmos_server.fail(down=True)
        with pytest.raises(UnreachableError):
            await move(here, there, remove=True)
        assert await here.read(made.conversation.id) == made
        cosmos_server.fail()
        assert await move(here, there) == Merged(0, 0, 1), "it waits there to be sent"
        await move(here, there, remove=True)
        assert [each async for each in every(here)] == []
        assert await there.read(made.conversation.id) == made


async def test_what_did_not_arrive_whole_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = conversation(1, random.Random(1))
    async with (
        closing(SqliteStore(tmp_path / "here.db")) as here,
        closing(SqliteStore(tmp_path / "there.db")) as there,
    ):
        await here.merge([made])
        await there.merge([Transcript(made.conversation, made.messages[:1])])

        async def forget(transcripts: object) -> Merged:
            return Merged(1, 0, 0)

        monkeypatch.setattr(there, "merge", forget)
        with pytest.raises(HistoryError, match="did not arrive whole"):
            await move(here, there, remove=True)
        assert await here.read(made.conversation.id) == made


async def test_what_is_said_while_others_are_removed_is_brought_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        closing(SqliteStore(tmp_path / "here.db")) as here,
        closing(SqliteStore(tmp_path / "there.db")) as there,
    ):
        first, last = await begun(here), await begun(here)
        purge = here.purge

        async def slow(conversation_id: str) -> None:
            if conversation_id == first.id:
                await said(here, last, "One thing more")
            await purge(conversation_id)

        monkeypatch.setattr(here, "purge", slow)
        await move(here, there, remove=True)
        assert [each async for each in every(here)] == []
        assert [each.content for each in (await there.read(last.id)).messages] == ["One thing more"]
