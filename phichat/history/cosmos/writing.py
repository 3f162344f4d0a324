"""What the Cosmos DB store writes; each of these may be called again from the start, and loses nothing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from phichat.errors import UnreachableError
from phichat.history.cosmos import documents
from phichat.history.cosmos.documents import Document
from phichat.history.cosmos.reading import Reading, at_once
from phichat.history.synced.remote import Joined
from phichat.history.tree import Transcript, merge
from phichat.history.values import Conversation, StoredMessage

ATTEMPTS = 30
"""How often a change is made anew because another machine was quicker."""

Revise = Callable[[Conversation], Conversation]
Decide = Callable[[Conversation], dict[str, object]]


class Writing(Reading):
    """An owner's documents, changed only as they are when nobody else changes them."""

    async def create(self, conversation: Conversation) -> None:
        """Add a conversation, unless it is there; one that was removed for good begins anew."""
        made = documents.head(conversation, self.owner)
        for _ in range(ATTEMPTS):
            if await self.container.create(made):
                return
            there = await self.container.get(self.owner, made["id"])
            if there and (there["kind"] == "conversation" or await self.container.replace(made, there)):
                return
        raise self._contended()

    async def decide(self, conversation_id: str, change: Decide) -> None:
        """Note what a person decided about a conversation, and when."""
        now = time.time()

        def decided(old: Conversation) -> Conversation:
            return old.model_copy(update={**change(old), "revised": max(old.revised, now)})

        await self.revise(conversation_id, decided)

    async def revise(self, conversation_id: str, revise: Revise) -> None:
        """Change a conversation as it is when nobody else does."""
        for _ in range(ATTEMPTS):
            there = await self.head(conversation_id)
            old = documents.conversation_from(there)
            new = revise(old)
            if new == old or await self.container.replace(documents.head(new, self.owner), there):
                return
            await _pause()
        raise self._contended()

    async def append(self, message: StoredMessage) -> None:
        """Add a message, unless it is there, and show its branch."""
        added = await self.container.create_all(documents.message_documents(message, self.owner))

        def show(old: Conversation) -> Conversation:
            # Whoever added it may have died before this: then it is made good now.
            if not added and message.created <= old.updated:
                return old
            brought_back = {} if old.deleted is None else {"revised": max(old.revised, time.time())}
            updated = max(old.updated, message.created)
            return old.model_copy(
                update={"leaf": message.id, "updated": updated, "deleted": None, **brought_back}
            )

        await self.revise(message.conversation_id, show)

    async def rewrite(
        self, conversation_id: str, message_id: str, rewrite: Callable[[StoredMessage], StoredMessage]
    ) -> None:
        """Change a message as it is when nobody else does."""
        for _ in range(ATTEMPTS):
            there = await self.message(conversation_id, message_id)
            old = documents.message_from(there, await self._parts(there))
            new = rewrite(old)
            if new == old or await self._replace_message(new, there):
                return
            await _pause()
        raise self._contended()

    async def _parts(self, document: Document) -> dict[str, str]:
        found = [await self.container.get(document["partitionKey"], each) for each in document["parts"]]
        return {each["id"]: each["content"] for each in found if each}

    async def _replace_message(self, message: StoredMessage, there: Document) -> bool:
        *parts, document = documents.message_documents(message, self.owner)
        for part in parts:
            await self.container.create(part)
        if await self.container.replace(document, there) is None:
            return False
        for part in set(there["parts"]) - set(document["parts"]):
            await self.container.delete(there["partitionKey"], part)
        return True

    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation and its messages, and leave a note for the other machines."""
        owner = self.owner
        for _ in range(ATTEMPTS):
            there = await self.container.get(owner, documents.document_id(conversation_id))
            if there is None:
                break
            # First nobody finds it any more, then it goes: what is interrupted is made good the next time.
            if there["kind"] == "purged" or await self.container.replace(
                documents.tombstone(conversation_id, owner), there
            ):
                break
            await _pause()
        else:
            raise self._contended()
        await self._sweep(conversation_id)

    async def _sweep(self, conversation_id: str) -> None:
        """Remove all that is in the partition of a conversation."""
        partition = documents.partition_of(self.owner, conversation_id)
        every = [each["id"] async for each in self.container.query(partition, "IS_DEFINED(c.id)")]
        await at_once([self.container.delete(partition, each) for each in every])

    async def join(self, theirs: Transcript) -> Joined:
        """Take in a copy of a conversation: nothing twice, nothing lost."""
        for attempt in range(ATTEMPTS):
            joined = await self._try_to_join(theirs, hasty=not attempt)
            if joined:
                return joined
            await _pause()
        raise self._contended()

    async def _try_to_join(self, theirs: Transcript, *, hasty: bool) -> Joined | None:
        """Write what a copy adds; None if another machine was quicker.

        In haste, of a conversation that is not there no messages are expected either: one request less.
        """
        owner, conversation_id = self.owner, theirs.conversation.id
        there = await self.container.get(owner, documents.document_id(conversation_id))
        messages = {} if there is None and hasty else await self.messages(conversation_id)
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
        kept = await (self.container.replace(head, there) if there else self.container.create(head))
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
                new += documents.message_documents(message, self.owner)
            elif message == known and not self._ages(document):
                continue
            elif not await self._replace_message(message, document):
                return None
            count += 1
        return count if await self.container.create_all(new) else None

    def _ages(self, document: Document) -> bool:
        """Whether a document would be gone before the rest of its conversation."""
        ttl = self.place.ttl_seconds
        return ttl is not None and document["_ts"] < time.time() - ttl / 2

    def _contended(self) -> UnreachableError:
        return UnreachableError(f"Others write the same conversation in {self.place.service} all the time.")


async def _pause() -> None:
    """Let another machine finish, and do not meet it again at once."""
    await asyncio.sleep(random.uniform(0, 0.05))  # noqa: S311 - nothing secret
