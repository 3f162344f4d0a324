"""One SQLite connection in a thread of its own, whose every failure is one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from phichat.errors import HistoryError
from phichat.history.sqlite.migrations import VERSION, migrate, version

BUSY_TIMEOUT_S = 10.0
"""How long to wait for another process that writes; its transactions last milliseconds."""

STEPS_BETWEEN_LOOKS = 10_000
"""Instructions of SQLite's after which it looks whether it is still wanted: about every millisecond."""
FREE_SPACE = "Free some disk space and try again."

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


@dataclass
class _Job:
    """A piece of work, and whether nobody waits for its result any more."""

    abandoned: bool = False


class Connection:
    """Runs work on one file, one piece after the other, off the event loop.

    The file is opened by the first piece of work, and made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="phichat-history")
        self._connection: sqlite3.Connection | None = None
        self._job = _Job()
        self._closed = False

    async def run(self, work: Work[T], *, interruptible: bool = False) -> T:
        """The result of the work; cancelling stops it if it is interruptible, else it goes on unattended.

        Raises:
            HistoryError: the file cannot be read or written.
        """
        job = _Job()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work, job)
        except asyncio.CancelledError:
            job.abandoned = interruptible
            raise

    async def aclose(self) -> None:
        """Close the file after the work that is under way."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _work(self, work: Work[T], job: _Job) -> T:
        with explained(self.path):
            self._job = job
            if self._connection is None:
                self._connection = connect(self.path)
                # Not `interrupt`: that does nothing if it comes just before the statement begins.
                self._connection.set_progress_handler(lambda: self._job.abandoned, STEPS_BETWEEN_LOOKS)
            return work(self._connection)

    def _close(self) -> None:
        if self._connection:
            with explained(self.path):
                self._connection.close()
            self._connection = None


def connect(path: Path) -> sqlite3.Connection:
    """Open a store's file for this thread; one that is not there is made, an older one brought up to date.

    Raises:
        HistoryError: it was made by a newer phichat, or it is empty.
        sqlite3.Error: it is not a database, or damaged.
    """
    if not path.exists():
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
        # A full disk ends the transaction by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the reads inside see the store as it is at one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what SQLite and the file system say into one sentence about the file.

    Raises:
        HistoryError: anything went wrong inside.
    """
    try:
        yield
    except sqlite3.ProgrammingError:  # a bug of ours, and not the file's fault
        raise
    except sqlite3.Error as error:
        raise _sentence(path, error) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise HistoryError(f"The conversations in {path} cannot be opened: {reason}.") from error


def damaged(path: Path, reason: str) -> HistoryError:
    """The error of a file whose content cannot be right."""
    return HistoryError(
        f"The conversations in {path} are damaged: {reason}.",
        "'phichat history recover' keeps the file and saves what can be read into a new one.",
    )


def _sentence(path: Path, error: sqlite3.Error) -> HistoryError:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return HistoryError(f"The conversations in {path} cannot be kept: the disk is full.", FREE_SPACE)
    if name.startswith("SQLITE_IOERR"):
        return HistoryError(
            f"The conversations in {path} cannot be kept: the disk is full or failing ({error}).", FREE_SPACE
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return HistoryError(f"Another program keeps {path} locked.", "Close it, or try again.")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return HistoryError(
            f"The conversations in {path} cannot be opened ({error}).", f"ls -l {path.parent}"
        )
    # Without a name it is Python that could not read a row, and its message may quote random bytes.
    return damaged(path, str(error) if name else "a row of it makes no sense")


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
        _publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _publish(draft: Path, path: Path) -> None:
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
