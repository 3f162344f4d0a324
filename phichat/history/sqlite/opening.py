"""Opens the file of the SQLite store: made if it is not there, brought up to date if it is an older one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

from phichat.errors import HistoryError
from phichat.history.sqlite.failures import damaged
from phichat.history.sqlite.migrations import VERSION, migrate, version
from phichat.history.sqlite.transactions import transaction

BUSY_TIMEOUT_S = 10.0
"""How long to wait for another process that writes; its transactions last milliseconds."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a store's file for this thread; one that is not there is made, an older one brought up to date.

    Raises:
        HistoryError: it was made by a newer phichat, or it is empty.
        sqlite3.Error: it is not a database, or damaged.
    """
    if not path.exists():
        if log_of(path).exists() and not path.exists():
            # Beside a new file it would damage that one.
            raise damaged(path, "only their log is left")
        _make(path)
    connection = _open(path)
    try:
        if version(connection) == 0:
            # A store is never made empty, so its content is gone: that must not look like a new one.
            raise damaged(path, "there are none in it")
        if version(connection) > VERSION:
            raise HistoryError(
                f"{path} was made by a newer phichat.", "python -m pip install --upgrade phichat"
            )
        if version(connection) < VERSION:
            migrate(connection)
        _index_the_rest(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def log_of(path: Path) -> Path:
    """The write-ahead log beside a file: its latest transactions."""
    return path.with_name(f"{path.name}-wal")


def _open(path: Path) -> sqlite3.Connection:
    """A connection to a file that is there; autocommit, so that every transaction is one of ours."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    # Only macOS has it: there, fsync alone does not reach the disk.
    connection.execute("PRAGMA fullfsync = ON")
    return connection


def _make(path: Path) -> None:
    """A new file that nobody sees before it is whole; of two processes that make it, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        # The log files beside it get the mode of the file itself.
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with contextlib.closing(_open(draft)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection)
        publish(draft, path)
    finally:
        for left in (draft, log_of(draft), draft.with_name(f"{draft.name}-shm")):
            left.unlink(missing_ok=True)


def publish(draft: Path, path: Path) -> None:
    """Give a file its name, unless another process has given that name to one of its own."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            draft.replace(path)


def _index_the_rest(connection: sqlite3.Connection) -> None:
    """Let answers be found whose writer died; one that is still being written loses nothing by it."""
    # A store must open on a full disk as well: then they are found the next time.
    with contextlib.suppress(sqlite3.OperationalError):
        if connection.execute("SELECT 1 FROM messages WHERE NOT indexed").fetchone():
            with transaction(connection, durable=False):
                connection.execute("UPDATE messages SET indexed = 1 WHERE NOT indexed")
