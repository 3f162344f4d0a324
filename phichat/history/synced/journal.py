"""The journal of a copy: which conversations were changed here and are not elsewhere yet, in a file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from phichat.history.sqlite.connection import Connection
from phichat.history.sqlite.opening import BUSY_TIMEOUT_S
from phichat.history.sqlite.transactions import transaction
from phichat.history.values import storable

WRITING_SECONDS = 60.0
"""How long a write may last; if it is not over by then, whoever began it has died."""
_SCHEMA = (
    # Numbers are never used again: to settle an older change never settles a newer one.
    """CREATE TABLE IF NOT EXISTS marks (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        conversation TEXT NOT NULL UNIQUE,
        purge INTEGER NOT NULL,
        busy REAL NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS versions (conversation TEXT PRIMARY KEY, version TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value REAL NOT NULL)",
)


class Mark(NamedTuple):
    """A conversation that was changed here."""

    number: int
    conversation_id: str
    purge: bool
    """It was removed for good."""


class Journal:
    """Marks conversations before they are changed here and until the change is elsewhere.

    A program that dies in between leaves the mark: then the conversation is sent once more than it
    need be, which changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self._file = Connection(path, _open)

    async def begin(self, *ids: str, purge: bool = False, durable: bool = True) -> None:
        """Note that conversations are about to be changed; until `end` they cannot be settled."""
        await self._mark(ids, purge, time.time() + WRITING_SECONDS, durable)

    async def end(self, *ids: str, purge: bool = False) -> None:
        """Note that the change is made."""
        await self._mark(ids, purge, 0.0, durable=False)

    async def marks(self) -> list[Mark]:
        """What is to be sent, the oldest change first."""
        rows = await self._file.run(
            lambda connection: connection.execute(
                "SELECT number, conversation, purge FROM marks ORDER BY number"
            ).fetchall()
        )
        return [Mark(number, conversation, bool(purge)) for number, conversation, purge in rows]

    async def settle(self, mark: Mark, version: str | None) -> None:
        """What the mark stands for is elsewhere, where it has this version now; None: it is gone there."""

        def settle(connection: sqlite3.Connection) -> None:
            with transaction(connection, durable=False):
                connection.execute(
                    "DELETE FROM marks WHERE conversation = ? AND number <= ? AND busy < ?",
                    (mark.conversation_id, mark.number, time.time()),
                )
                if version is not None:
                    _note_version(connection, mark.conversation_id, version)

        await self._file.run(settle)

    async def versions(self) -> dict[str, str]:
        """The version of each conversation that was taken in last."""
        rows = await self._file.run(
            lambda connection: connection.execute("SELECT conversation, version FROM versions").fetchall()
        )
        return dict(rows)

    async def note_version(self, conversation_id: str, version: str) -> None:
        """A conversation is here as it is elsewhere in that version."""

        def note(connection: sqlite3.Connection) -> None:
            with transaction(connection, durable=False):
                _note_version(connection, conversation_id, version)

        await self._file.run(note)

    async def fact(self, name: str) -> float | None:
        """A number that was noted."""
        row = await self._file.run(
            lambda connection: connection.execute(
                "SELECT value FROM facts WHERE name = ?", (name,)
            ).fetchone()
        )
        return row[0] if row else None

    async def note(self, name: str, value: float) -> None:
        """Note a number."""

        def note(connection: sqlite3.Connection) -> None:
            with transaction(connection, durable=False):
                connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

        await self._file.run(note)

    async def aclose(self) -> None:
        """Let go of the file."""
        await self._file.aclose()

    async def _mark(self, ids: Sequence[str], purge: bool, busy: float, durable: bool) -> None:
        def mark(connection: sqlite3.Connection) -> None:
            with transaction(connection, durable=durable):
                connection.executemany(
                    "INSERT OR REPLACE INTO marks (conversation, purge, busy) VALUES (?, ?, ?)",
                    ((storable(each), purge, busy) for each in ids),
                )

        await self._file.run(mark)


def _note_version(connection: sqlite3.Connection, conversation_id: str, version: str) -> None:
    connection.execute("INSERT OR REPLACE INTO versions VALUES (?, ?)", (conversation_id, version))


def _open(path: Path) -> sqlite3.Connection:
    """A connection to the file, which is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection, durable=True):
            for statement in _SCHEMA:
                connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection
