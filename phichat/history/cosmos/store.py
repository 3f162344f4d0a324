"""The Cosmos DB store: one document a message, written so that any number of machines may do so at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import TypeVar

from phichat.errors import NotFoundError
from phichat.history import search
from phichat.history.base import HistoryStore, Order
from phichat.history.cosmos import documents, searching
from phichat.history.cosmos.place import Place
from phichat.history.cosmos.reading import at_once
from phichat.history.cosmos.writing import Writing
from phichat.history.synced.remote import CLOSE_SECONDS, Change, Joined
from phichat.history.tree import Transcript
from phichat.history.values import Conversation, Hit, Merged, Page, StoredMessage, storable

T = TypeVar("T")


class CosmosStore(HistoryStore):
    """Conversations in a container of Azure Cosmos DB.

    An owner's conversations are one partition, so that their list is read in order and page by page;
    the messages of each are another. Messages are written first, then the conversation, and this only
    if nobody has changed it since it was read (by etag): else it is read again.

    A search reads every conversation, which takes long and costs request units: keep a copy here and
    search that (`SyncedStore`).
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.where = str(place)
        self._documents = Writing(place)
        self._under_way: set[asyncio.Task[object]] = set()

    async def create(self, conversation: Conversation) -> None:
        await self._whole(self._documents.create(conversation))

    async def get(self, conversation_id: str) -> Conversation:
        return documents.conversation_from(await self._documents.head(conversation_id))

    async def read(self, conversation_id: str) -> Transcript:
        return await self._documents.transcript(conversation_id)

    async def page(
        self,
        *,
        project: str | None = None,
        deleted: bool = False,
        order: Order = "updated",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        return await self._documents.listed(project, deleted, order, limit, cursor)

    async def rename(self, conversation_id: str, title: str) -> None:
        await self._documents.decide(conversation_id, lambda _: {"title": storable(title)})

    async def select(self, conversation_id: str, leaf: str) -> None:
        await self._documents.head(conversation_id)
        await self._documents.message(conversation_id, leaf)
        await self._whole(
            self._documents.revise(conversation_id, lambda old: old.model_copy(update={"leaf": leaf}))
        )

    async def delete(self, conversation_id: str) -> None:
        now = time.time()
        await self._documents.decide(conversation_id, lambda old: {"deleted": old.deleted or now})

    async def undelete(self, conversation_id: str) -> None:
        await self._documents.decide(conversation_id, lambda _: {"deleted": None})

    async def purge(self, conversation_id: str) -> None:
        await self._whole(self._documents.purge(conversation_id))

    async def append(self, message: StoredMessage) -> None:
        await self._documents.head(message.conversation_id)
        if message.parent_id is not None:
            await self._documents.message(message.conversation_id, message.parent_id)
        await self._whole(self._documents.append(message))

    async def extend(self, conversation_id: str, message_id: str, text: str) -> None:
        def longer(old: StoredMessage) -> StoredMessage:
            if old.state != "partial":
                raise _not_written(conversation_id, message_id)
            return old.model_copy(update={"content": old.content + storable(text)})

        try:
            await self._whole(self._documents.rewrite(conversation_id, message_id, longer))
        except NotFoundError as error:
            raise _not_written(conversation_id, message_id) from error

    async def finish(self, message: StoredMessage) -> None:
        await self._documents.head(message.conversation_id)
        await self._whole(
            self._documents.rewrite(
                message.conversation_id, message.id, lambda old: message if old.state == "partial" else old
            )
        )

    async def search(self, text: str, *, project: str | None = None, limit: int = 50) -> Sequence[Hit]:
        query = search.parse(text)
        if not query.terms:
            return []
        ids = [each.id async for each in self.conversations(project=project)]
        found = await at_once([self.read(each) for each in ids])
        return await asyncio.to_thread(searching.find, found, query, limit)

    async def merge(self, transcripts: Sequence[Transcript]) -> Merged:
        joined = await at_once([self.join(each) for each in transcripts])
        outcomes = [each.outcome for each in joined]
        return Merged(*(outcomes.count(each) for each in ("added", "changed", "known")))

    async def join(self, theirs: Transcript) -> Joined:
        """Take in a copy of one conversation, and tell how it is there now."""
        return await self._whole(self._documents.join(theirs))

    def changes(self, since: int) -> AsyncIterator[Change]:
        """What was changed from that second on, or just before, by the service's clock; oldest first."""
        return self._documents.changes(since)

    async def is_there(self) -> bool:
        """Whether the container is there already, and lets us in; nothing is made.

        Raises:
            HistoryError: it cannot be reached, or refuses.
        """
        return await self._documents.container.is_there()

    async def aclose(self, patience: float = CLOSE_SECONDS) -> None:
        """Let go of the store, after at most so many seconds for writes that nobody waits for."""
        try:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=patience)
        finally:
            # What is stopped in its middle is made good by the next one that writes there.
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            await self._documents.container.aclose()

    async def _whole(self, work: Coroutine[None, None, T]) -> T:
        """Do all of the work: who is cancelled while they wait for it does not stop it in the middle."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Nobody waits for how it ended: without this, asyncio would complain that it failed.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise


def _not_written(conversation_id: str, message_id: str) -> NotFoundError:
    return NotFoundError(f"No answer {message_id!r} is being written in {conversation_id!r}.")
