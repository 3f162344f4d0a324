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
    purge: int
    """Which removal for good is not elsewhere yet; 0: none. Negative: it was made again after that."""


class Journal:
    """Marks conversations before they are changed here and until the change is elsewhere.

    A program that dies in between leaves the mark: then the conversation is sent once more than it
    need be, which changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self._file = Connection(path, _open)

    async def begin(self, *ids: str, purge: bool = False, makes: bool = False, durable: bool = True) -> None:
        """Note that conversations are about to be changed; until `end` they cannot be settled.

        With `makes` they are here afterwards also where they were not before.
        """
        await self._mark(ids, purge, makes, time.time() + WRITING_SECONDS, durable)

    async def end(self, *ids: str, purge: bool = False) -> None:
        """Note that the change is made, or has failed."""
        await self._mark(ids, purge, False, 0.0, durable=False)

    async def marks(self) -> list[Mark]:
        """What is to be sent, the oldest change first."""
        rows = await self._file.run(
            lambda connection: connection.execute(
                "SELECT number, conversation, purge FROM marks ORDER BY number"
            ).fetchall()
        )
        return [Mark(*row) for row in rows]

    async def removed(self, mark: Mark) -> None:
        """The removal that the mark stands for is made elsewhere; what was made after it is not yet there."""

        def forget(connection: sqlite3.Connection) -> None:
            with transaction(connection, durable=False):
                connection.execute(
                    "UPDATE marks SET purge = 0 WHERE conversation = ? AND purge = ?",
                    (mark.conversation_id, mark.purge),
                )

        await self._file.run(forget)

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

    async def _mark(self, ids: Sequence[str], purge: bool, makes: bool, busy: float, durable: bool) -> None:
        def mark(connection: sqlite3.Connection) -> None:
            with transaction(connection, durable=durable):
                for each in map(storable, ids):
                    # A removal that is not elsewhere yet is not forgotten, whatever is written after it.
                    kept = time.time_ns() if purge else _removal(connection, each)
                    connection.execute(
                        "INSERT OR REPLACE INTO marks (conversation, purge, busy) VALUES (?, ?, ?)",
                        (each, -abs(kept) if makes else kept, busy),
                    )

        await self._file.run(mark)


def _removal(connection: sqlite3.Connection, conversation_id: str) -> int:
    """The removal of a conversation that is not elsewhere yet, as `Mark.purge`."""
    found = connection.execute(
        "SELECT purge FROM marks WHERE conversation = ?", (conversation_id,)
    ).fetchone()
    return int(found[0]) if found else 0


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
