"""The SQLite store: every method as one piece of work in the thread of a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from phichat.history import search
from phichat.history.base import HistoryStore, Order
from phichat.history.sqlite import reading, searching, writing
from phichat.history.sqlite.connection import Connection, Work
from phichat.history.sqlite.transactions import snapshot, transaction
from phichat.history.tree import Transcript
from phichat.history.values import Conversation, Hit, Merged, Page, StoredMessage

T = TypeVar("T")


class SqliteStore(HistoryStore):
    """Conversations in a SQLite file with a full-text index.

    With write-ahead logging any number of processes read while one writes. What is written survives
    the death of the process at once, and a loss of power too, except for the pieces of an answer
    that is still being written: those would cost a wait for the disk many times a second.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self._writer = Connection(path)
        # Of its own, so that a long search neither holds up a write nor takes it along when it is stopped.
        self._reader = Connection(path)

    async def create(self, conversation: Conversation) -> None:
        await self._write(lambda connection: writing.insert_conversation(connection, conversation))

    async def get(self, conversation_id: str) -> Conversation:
        return await self._read(lambda connection: reading.conversation(connection, conversation_id))

    async def read(self, conversation_id: str) -> Transcript:
        return await self._read(lambda connection: reading.transcript(connection, conversation_id))

    async def page(
        self,
        *,
        project: str | None = None,
        deleted: bool = False,
        order: Order = "updated",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        return await self._read(
            lambda connection: reading.page(connection, project, deleted, order, limit, cursor)
        )

    async def rename(self, conversation_id: str, title: str) -> None:
        await self._write(lambda connection: writing.rename(connection, conversation_id, title))

    async def select(self, conversation_id: str, leaf: str) -> None:
        await self._write(lambda connection: writing.select(connection, conversation_id, leaf))

    async def delete(self, conversation_id: str) -> None:
        await self._write(lambda connection: writing.delete(connection, conversation_id))

    async def undelete(self, conversation_id: str) -> None:
        await self._write(lambda connection: writing.undelete(connection, conversation_id))

    async def purge(self, conversation_id: str) -> None:
        await self._write(lambda connection: writing.purge(connection, conversation_id))

    async def purge_unchanged(self, known: Transcript) -> bool:
        """Remove a conversation for good if nobody has changed it since it was read; whether it is gone."""
        return await self._write(lambda connection: writing.purge_unchanged(connection, known))

    async def append(self, message: StoredMessage) -> None:
        await self._write(
            lambda connection: writing.append(connection, message), durable=message.state != "partial"
        )

    async def extend(self, conversation_id: str, message_id: str, text: str) -> None:
        await self._write(
            lambda connection: writing.extend(connection, conversation_id, message_id, text), durable=False
        )

    async def finish(self, message: StoredMessage) -> None:
        await self._write(lambda connection: writing.finish(connection, message))

    async def search(self, text: str, *, project: str | None = None, limit: int = 50) -> Sequence[Hit]:
        query = search.parse(text)
        return await self._read(lambda connection: searching.find(connection, query, project, limit))

    async def merge(self, transcripts: Sequence[Transcript]) -> Merged:
        return await self._write(lambda connection: writing.merge_in(connection, transcripts))

    async def aclose(self) -> None:
        try:
            await self._reader.aclose()
        finally:
            await self._writer.aclose()

    async def _read(self, work: Work[T]) -> T:
        """Do the work on the store as it is at one moment; cancelling stops it."""

        def at_one_moment(connection: sqlite3.Connection) -> T:
            with snapshot(connection):
                return work(connection)

        return await self._reader.run(at_one_moment, interruptible=True)

    async def _write(self, work: Work[T], *, durable: bool = True) -> T:
        """Do the work in a transaction of its own."""

        def in_transaction(connection: sqlite3.Connection) -> T:
            with transaction(connection, durable=durable):
                return work(connection)

        return await self._writer.run(in_transaction)
