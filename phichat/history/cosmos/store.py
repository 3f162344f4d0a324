"""The Cosmos DB store: one document a message, written so that any number of machines may do so at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TypeVar

from phichat.errors import NotFoundError, UnreachableError
from phichat.history import search
from phichat.history.base import HistoryStore, Order
from phichat.history.cosmos import documents, searching
from phichat.history.cosmos.container import Container
from phichat.history.cosmos.documents import Document
from phichat.history.cosmos.place import Place
from phichat.history.synced.remote import Change, Joined
from phichat.history.tree import Transcript, merge
from phichat.history.values import Conversation, Hit, Merged, Page, StoredMessage, storable

ATTEMPTS = 30
"""How often a change is made anew because another machine was quicker."""
AT_ONCE = 8
"""Conversations that are written or read at the same time."""

T = TypeVar("T")
Revise = Callable[[Conversation], Conversation]
Decide = Callable[[Conversation], dict[str, object]]


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
        self._container = Container(place)
        self._under_way: set[asyncio.Task[object]] = set()

    async def create(self, conversation: Conversation) -> None:
        await self._whole(self._create(conversation))

    async def get(self, conversation_id: str) -> Conversation:
        return documents.conversation_from(await self._head(conversation_id))

    async def read(self, conversation_id: str) -> Transcript:
        head, messages = await asyncio.gather(self._head(conversation_id), self._messages(conversation_id))
        found = (message for _, message in messages.values())
        return Transcript(documents.conversation_from(head), tuple(found))

    async def page(
        self,
        *,
        project: str | None = None,
        deleted: bool = False,
        order: Order = "updated",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        where = f"c.kind = 'conversation' AND {'NOT ' if deleted else ''}IS_NULL(c.conversation.deleted)"
        values: dict[str, object] = {}
        if project is not None:
            where += " AND c.conversation.project = @project"
            values["project"] = storable(project)
        where += " ORDER BY " + ("c.conversation.updated DESC, c.id DESC" if order == "updated" else "c.id")
        found: list[Document] = []
        while len(found) < limit:
            more, cursor = await self._page(where, limit - len(found), cursor, values)
            found += more
            if cursor is None:
                break
        if cursor is not None and not await self._follows(where, cursor, values):
            cursor = None
        return Page([documents.conversation_from(each) for each in found], cursor)

    async def rename(self, conversation_id: str, title: str) -> None:
        await self._decide(conversation_id, lambda _: {"title": storable(title)})

    async def select(self, conversation_id: str, leaf: str) -> None:
        await self._head(conversation_id)
        await self._message(conversation_id, leaf)
        await self._whole(self._revise(conversation_id, lambda old: old.model_copy(update={"leaf": leaf})))

    async def delete(self, conversation_id: str) -> None:
        now = time.time()
        await self._decide(conversation_id, lambda old: {"deleted": old.deleted or now})

    async def undelete(self, conversation_id: str) -> None:
        await self._decide(conversation_id, lambda _: {"deleted": None})

    async def purge(self, conversation_id: str) -> None:
        await self._whole(self._purge(conversation_id))

    async def append(self, message: StoredMessage) -> None:
        await self._head(message.conversation_id)
        if message.parent_id is not None:
            await self._message(message.conversation_id, message.parent_id)
        await self._whole(self._append(message))

    async def extend(self, conversation_id: str, message_id: str, text: str) -> None:
        def longer(old: StoredMessage) -> StoredMessage:
            if old.state != "partial":
                raise _not_written(conversation_id, message_id)
            return old.model_copy(update={"content": old.content + storable(text)})

        try:
            await self._whole(self._rewrite(conversation_id, message_id, longer))
        except NotFoundError as error:
            raise _not_written(conversation_id, message_id) from error

    async def finish(self, message: StoredMessage) -> None:
        await self._head(message.conversation_id)
        await self._whole(
            self._rewrite(
                message.conversation_id, message.id, lambda old: message if old.state == "partial" else old
            )
        )

    async def search(self, text: str, *, project: str | None = None, limit: int = 50) -> Sequence[Hit]:
        query = search.parse(text)
        if not query.terms:
            return []
        ids = [each.id async for each in self.conversations(project=project)]
        found = await _at_once([self.read(each) for each in ids])
        return await asyncio.to_thread(searching.find, found, query, limit)

    async def merge(self, transcripts: Sequence[Transcript]) -> Merged:
        joined = await _at_once([self.join(each) for each in transcripts])
        outcomes = [each.outcome for each in joined]
        return Merged(*(outcomes.count(each) for each in ("added", "changed", "known")))

    async def join(self, theirs: Transcript) -> Joined:
        """Take in a copy of one conversation, and tell how it is there now."""
        return await self._whole(self._join(theirs))

    async def changes(self, since: int) -> AsyncIterator[Change]:
        """What was changed from that second on, or just before, by the service's clock; oldest first."""
        async for document in self._container.query(
            self.place.owner, "c._ts >= @since ORDER BY c._ts", since=since
        ):
            yield Change(
                document["conversation"]["id"],
                document["_etag"],
                document["_ts"],
                document["kind"] == "purged",
            )

    async def open(self) -> None:
        """Reach the place, and make it where it is not there.

        Raises:
            HistoryError: it cannot be reached, or refuses.
        """
        await self._container.opened()

    async def aclose(self) -> None:
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._container.aclose()

    # Reading

    async def _head(self, conversation_id: str) -> Document:
        document = await self._container.get(self.place.owner, documents.document_id(conversation_id))
        if document is None or document["kind"] != "conversation":
            raise _unknown(conversation_id)
        return document

    async def _messages(self, conversation_id: str) -> dict[str, tuple[Document, StoredMessage]]:
        partition = documents.partition_of(self.place.owner, conversation_id)
        return documents.messages_from(
            [each async for each in self._container.query(partition, "IS_DEFINED(c.kind)")]
        )

    async def _message(self, conversation_id: str, message_id: str) -> Document:
        partition = documents.partition_of(self.place.owner, conversation_id)
        document = await self._container.get(partition, documents.document_id(message_id))
        if document is None:
            raise NotFoundError(f"The conversation {conversation_id} has no message {message_id!r}.")
        return document

    async def _page(
        self, where: str, limit: int, token: str | None, values: dict[str, object]
    ) -> tuple[list[Document], str | None]:
        return await self._container.page(self.place.owner, where, limit, token, **values)

    async def _follows(self, where: str, token: str | None, values: dict[str, object]) -> bool:
        """Whether anything comes after a token: there is one also where nothing does."""
        while token is not None:
            more, token = await self._page(where, 1, token, values)
            if more:
                return True
        return False

    # Writing; each of these may be called again from the start

    async def _create(self, conversation: Conversation) -> None:
        made = documents.head(conversation, self.place.owner)
        for _ in range(ATTEMPTS):
            if await self._container.create(made):
                return
            there = await self._container.get(self.place.owner, made["id"])
            if there and (there["kind"] == "conversation" or await self._container.replace(made, there)):
                return
        raise self._contended()

    async def _decide(self, conversation_id: str, change: Decide) -> None:
        """Note what a person decided about a conversation, and when."""
        now = time.time()
        await self._whole(
            self._revise(
                conversation_id,
                lambda old: old.model_copy(update={**change(old), "revised": max(old.revised, now)}),
            )
        )

    async def _revise(self, conversation_id: str, revise: Revise) -> None:
        """Change a conversation as it is when nobody else does."""
        for _ in range(ATTEMPTS):
            there = await self._head(conversation_id)
            old = documents.conversation_from(there)
            new = revise(old)
            if new == old or await self._container.replace(documents.head(new, self.place.owner), there):
                return
            await _pause()
        raise self._contended()

    async def _append(self, message: StoredMessage) -> None:
        added = await self._container.create_all(documents.message_documents(message, self.place.owner))

        def show(old: Conversation) -> Conversation:
            # Whoever added it may have died before this: then it is made good now.
            if not added and message.created <= old.updated:
                return old
            brought_back = {} if old.deleted is None else {"revised": max(old.revised, time.time())}
            updated = max(old.updated, message.created)
            return old.model_copy(
                update={"leaf": message.id, "updated": updated, "deleted": None, **brought_back}
            )

        await self._revise(message.conversation_id, show)

    async def _rewrite(
        self, conversation_id: str, message_id: str, rewrite: Callable[[StoredMessage], StoredMessage]
    ) -> None:
        """Change a message as it is when nobody else does."""
        for _ in range(ATTEMPTS):
            there = await self._message(conversation_id, message_id)
            old = documents.message_from(there, await self._parts(there))
            new = rewrite(old)
            if new == old or await self._replace_message(new, there):
                return
            await _pause()
        raise self._contended()

    async def _parts(self, document: Document) -> dict[str, str]:
        found = [await self._container.get(document["partitionKey"], each) for each in document["parts"]]
        return {each["id"]: each["content"] for each in found if each}

    async def _replace_message(self, message: StoredMessage, there: Document) -> bool:
        *parts, document = documents.message_documents(message, self.place.owner)
        for part in parts:
            await self._container.create(part)
        if await self._container.replace(document, there) is None:
            return False
        for part in set(there["parts"]) - set(document["parts"]):
            await self._container.delete(there["partitionKey"], part)
        return True

    async def _purge(self, conversation_id: str) -> None:
        owner = self.place.owner
        for _ in range(ATTEMPTS):
            there = await self._container.get(owner, documents.document_id(conversation_id))
            if there is None:
                break
            # First nobody finds it any more, then it goes: what is interrupted is made good the next time.
            if there["kind"] == "purged" or await self._container.replace(
                documents.tombstone(conversation_id, owner), there
            ):
                break
            await _pause()
        else:
            raise self._contended()
        await self._sweep(conversation_id)

    async def _sweep(self, conversation_id: str) -> None:
        """Remove all that is in the partition of a conversation."""
        partition = documents.partition_of(self.place.owner, conversation_id)
        every = [each["id"] async for each in self._container.query(partition, "IS_DEFINED(c.id)")]
        await _at_once([self._container.delete(partition, each) for each in every])

    async def _join(self, theirs: Transcript) -> Joined:
        for _ in range(ATTEMPTS):
            joined = await self._try_to_join(theirs)
            if joined:
                return joined
            await _pause()
        raise self._contended()

    async def _try_to_join(self, theirs: Transcript) -> Joined | None:
        """Write what a copy adds; None if another machine was quicker."""
        owner, conversation_id = self.place.owner, theirs.conversation.id
        there, messages = await asyncio.gather(
            self._container.get(owner, documents.document_id(conversation_id)),
            self._messages(conversation_id),
        )
        if there is not None and there["kind"] == "purged" and messages:
            await self._sweep(conversation_id)
            messages = {}
        merged = theirs
        if there is not None and there["kind"] == "conversation":
            ours = Transcript(
                documents.conversation_from(there), tuple(message for _, message in messages.values())
            )
            merged = merge(ours, theirs)
        wrote = await self._write_messages(merged, messages)
        if wrote is None:
            return None
        if there is not None and merged.conversation == documents.conversation_from(there) and not wrote:
            return Joined(merged, there["_etag"], "known")
        head = documents.head(merged.conversation, owner)
        # Also where only a message has changed: other machines look at this document only.
        kept = await (self._container.replace(head, there) if there else self._container.create(head))
        if kept is None:
            return None
        added = there is None or there["kind"] == "purged"
        return Joined(merged, kept["_etag"], "added" if added else "changed")

    async def _write_messages(
        self, merged: Transcript, there: dict[str, tuple[Document, StoredMessage]]
    ) -> int | None:
        """Write the messages that are not there as they should be; returns how many, None if outrun."""
        new: list[Document] = []
        count = 0
        for message in merged.messages:
            document, known = there.get(message.id, (None, None))
            if document is None:
                new += documents.message_documents(message, self.place.owner)
            elif message == known and not self._ages(document):
                continue
            elif not await self._replace_message(message, document):
                return None
            count += 1
        return count if await self._container.create_all(new) else None

    def _ages(self, document: Document) -> bool:
        """Whether a document would be gone before the rest of its conversation."""
        ttl = self.place.ttl_seconds
        return ttl is not None and document["_ts"] < time.time() - ttl / 2

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

    def _contended(self) -> UnreachableError:
        return UnreachableError(f"Others write the same conversation in {self.where} all the time.")


async def _at_once(work: Sequence[Coroutine[None, None, T]]) -> list[T]:
    """The results of the work, some of it done at the same time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(each: Coroutine[None, None, T]) -> T:
        async with places:
            return await each

    return list(await asyncio.gather(*map(one, work)))


async def _pause() -> None:
    """Let another machine finish, and do not meet it again at once."""
    await asyncio.sleep(random.uniform(0, 0.05))  # noqa: S311 - nothing secret


def _unknown(conversation_id: str) -> NotFoundError:
    return NotFoundError(f"There is no conversation {conversation_id!r}.", "phichat history list --all")


def _not_written(conversation_id: str, message_id: str) -> NotFoundError:
    return NotFoundError(f"No answer {message_id!r} is being written in {conversation_id!r}.")
