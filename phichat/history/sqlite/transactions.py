"""Transactions of the SQLite store, and what of them survives."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, *, durable: bool) -> Iterator[None]:
    """All of the writes inside, or none of them.

    Without `durable` they survive the death of the process but, until the next durable transaction
    or checkpoint, not a loss of power: they cost no wait for the disk. (In write-ahead logging
    neither can damage the file: https://sqlite.org/pragma.html#pragma_synchronous.)
    """
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        _end(connection)
        raise


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the reads inside see the store as it is at one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        _end(connection)


def _end(connection: sqlite3.Connection) -> None:
    # A full or failing disk has ended it already.
    if connection.in_transaction:
        connection.execute("ROLLBACK")
