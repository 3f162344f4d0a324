"""What the Cosmos DB store reads: conversations, their lists, and their messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import TypeVar

from phichat.errors import NotFoundError
from phichat.history.base import Order
from phichat.history.cosmos import documents
from phichat.history.cosmos.container import Container
from phichat.history.cosmos.documents import Document
from phichat.history.cosmos.place import Place
from phichat.history.synced.remote import Change
from phichat.history.tree import Transcript
from phichat.history.values import Page, StoredMessage, storable

AT_ONCE = 8
"""Conversations that are written or read at the same time."""

T = TypeVar("T")


class Reading:
    """An owner's documents."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.owner = place.owner
        self.container = Container(place)

    async def transcript(self, conversation_id: str) -> Transcript:
        """A conversation with all its messages."""
        head, messages = await asyncio.gather(self.head(conversation_id), self.messages(conversation_id))
        found = (message for _, message in messages.values())
        return Transcript(documents.conversation_from(head), tuple(found))

    async def listed(
        self, project: str | None, deleted: bool, order: Order, limit: int, cursor: str | None
    ) -> Page:
        """Conversations from after where the continuation token `cursor` was given."""
        where = f"c.kind = 'conversation' AND {'NOT ' if deleted else ''}IS_NULL(c.conversation.deleted)"
        values: dict[str, object] = {}
        if project is not None:
            where += " AND c.conversation.project = @project"
            values["project"] = storable(project)
        # By one key: two would need an index that a container which somebody else made does not have.
        where += " ORDER BY " + ("c.conversation.updated DESC" if order == "updated" else "c.id")
        found: list[Document] = []
        while len(found) < limit:
            more, cursor = await self._page(where, limit - len(found), cursor, values)
            found += more
            if cursor is None:
                break
        if cursor is not None and not await self._follows(where, cursor, values):
            cursor = None
        return Page([documents.conversation_from(each) for each in found], cursor)

    async def changes(self, since: int) -> AsyncIterator[Change]:
        """What was written from that second on, oldest first."""
        async for document in self.container.query(self.owner, "c._ts >= @since ORDER BY c._ts", since=since):
            yield Change(
                document["conversation"]["id"],
                document["_etag"],
                document["_ts"],
                document["kind"] == "purged",
            )

    async def head(self, conversation_id: str) -> Document:
        """The document of a conversation."""
        document = await self.container.get(self.owner, documents.document_id(conversation_id))
        if document is None or document["kind"] != "conversation":
            raise unknown(conversation_id)
        return document

    async def messages(self, conversation_id: str) -> dict[str, tuple[Document, StoredMessage]]:
        """The messages of a conversation by their ids, each with its document."""
        partition = documents.partition_of(self.owner, conversation_id)
        return documents.messages_from(
            [each async for each in self.container.query(partition, "IS_DEFINED(c.kind)")]
        )

    async def message(self, conversation_id: str, message_id: str) -> Document:
        """The document of a message."""
        partition = documents.partition_of(self.owner, conversation_id)
        document = await self.container.get(partition, documents.document_id(message_id))
        if document is None:
            raise NotFoundError(f"The conversation {conversation_id} has no message {message_id!r}.")
        return document

    async def _page(
        self, where: str, limit: int, token: str | None, values: dict[str, object]
    ) -> tuple[list[Document], str | None]:
        return await self.container.page(self.owner, where, limit, token, **values)

    async def _follows(self, where: str, token: str | None, values: dict[str, object]) -> bool:
        """Whether anything comes after a token: there is one also where nothing does."""
        while token is not None:
            more, token = await self._page(where, 1, token, values)
            if more:
                return True
        return False


async def at_once(work: Sequence[Coroutine[None, None, T]]) -> list[T]:
    """The results of the work, some of it done at the same time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(each: Coroutine[None, None, T]) -> T:
        async with places:
            return await each

    return list(await asyncio.gather(*map(one, work)))


def unknown(conversation_id: str) -> NotFoundError:
    """The error of a conversation that is not there."""
    return NotFoundError(f"There is no conversation {conversation_id!r}.", "phichat history list --all")
