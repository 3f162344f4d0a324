"""The one interface to a store of conversations, wherever it is."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal

from phichat.errors import NotFoundError
from phichat.history.tree import Transcript
from phichat.history.values import Conversation, Hit, Merged, Page, StoredMessage, Sync

Order = Literal["updated", "id"]
"""Latest message first; or by id, in which nothing is missed when a list changes while it is read."""


class HistoryStore(ABC):
    """Conversations with their messages as a tree, of which nothing is ever lost.

    Every method is safe to call twice with the same values, does not block the event loop, and may
    be cancelled: a write then either happened or did not. Several processes may use one store at once.
    When a method that writes returns, a crash of the process no longer loses what it wrote; a loss of
    power may lose the end of an answer that is still being written, and nothing else.

    Raises:
        NotFoundError: there is no such conversation or message.
        HistoryError: the store is damaged, full, or cannot be reached.
    """

    where: str
    """Where the conversations lie, for people."""

    @property
    def sync(self) -> Sync:
        """Whether what lies elsewhere is the same; a store of which no copy is kept has nothing to sync."""
        return Sync()

    def on_sync(self, listener: Callable[[], None]) -> None:  # noqa: B027 - here it never does
        """Have the listener called, in this event loop, whenever `sync` says something new."""

    async def synchronise(self) -> Sync:
        """Make both the same now.

        Raises:
            UnreachableError: elsewhere nobody answers; nothing is lost.
            HistoryError: something is refused there.
        """
        return self.sync

    @abstractmethod
    async def create(self, conversation: Conversation) -> None:
        """Begin a conversation; one with this id that is there already stays as it is."""

    @abstractmethod
    async def get(self, conversation_id: str) -> Conversation:
        """A conversation without its messages, deleted or not."""

    @abstractmethod
    async def read(self, conversation_id: str) -> Transcript:
        """A conversation with all its messages, deleted or not."""

    @abstractmethod
    async def page(
        self,
        *,
        project: str | None = None,
        deleted: bool = False,
        order: Order = "updated",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """A page of the conversations of one project, or of all; either the deleted ones or the others."""

    @abstractmethod
    async def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation another title."""

    @abstractmethod
    async def select(self, conversation_id: str, leaf: str) -> None:
        """Show the branch that ends with this message."""

    @abstractmethod
    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation so that it can be brought back."""

    @abstractmethod
    async def undelete(self, conversation_id: str) -> None:
        """Bring a deleted conversation back."""

    @abstractmethod
    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation and its messages for good; one that is gone already is no error."""

    @abstractmethod
    async def append(self, message: StoredMessage) -> None:
        """Add a message, and show its branch; one with this id that is there already stays as it is.

        An answer begins as a `partial` message. A conversation that was deleted meanwhile comes back.
        """

    @abstractmethod
    async def extend(self, conversation_id: str, message_id: str, text: str) -> None:
        """Add text to the end of a partial message. Call it before the text is shown."""

    @abstractmethod
    async def finish(self, message: StoredMessage) -> None:
        """Replace a partial message by what became of it; one that is finished stays as it is."""

    @abstractmethod
    async def search(self, text: str, *, project: str | None = None, limit: int = 50) -> Sequence[Hit]:
        """Where the titles and messages of one project, or of all, match what a person typed.

        Titles come first, at most half of the hits, each kind with the best first. Any text is a valid
        search. Cancelling it stops the work, so that it can follow every key.
        """

    @abstractmethod
    async def merge(self, transcripts: Sequence[Transcript]) -> Merged:
        """Take in copies of conversations from elsewhere: nothing twice, nothing lost (see `tree.merge`)."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of the store; what was written stays."""

    async def find(self, prefix: str) -> Conversation:
        """The conversation whose id begins so, as people type it; deleted or not.

        Raises:
            NotFoundError: none does, or several do.
        """
        found = [
            conversation
            for deleted in (False, True)
            async for conversation in self.conversations(deleted=deleted)
            if prefix and conversation.id.startswith(prefix.lower())
        ]
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFoundError(f"There is no conversation {prefix!r}.", "phichat history list --all")
        raise NotFoundError(f"{len(found)} conversations begin with {prefix!r}.", "Give more of the id.")

    async def conversations(
        self, *, project: str | None = None, deleted: bool = False, order: Order = "id"
    ) -> AsyncIterator[Conversation]:
        """All conversations of one project, or of all, page by page."""
        cursor = None
        while True:
            page = await self.page(project=project, deleted=deleted, order=order, limit=500, cursor=cursor)
            for conversation in page.conversations:
                yield conversation
            cursor = page.cursor
            if cursor is None:
                return

    async def empty_trash(self, before: float) -> int:
        """Purge what was deleted before that time; returns how many conversations that were."""
        old = [
            conversation.id
            async for conversation in self.conversations(deleted=True)
            if (conversation.deleted or 0) < before
        ]
        purged = 0
        for conversation_id in old:
            with contextlib.suppress(NotFoundError):
                # Looked at again: somebody may have brought it back since the list was read.
                deleted = (await self.get(conversation_id)).deleted
                if deleted is not None and deleted < before:
                    await self.purge(conversation_id)
                    purged += 1
        return purged
