"""One SQLite connection in a thread of its own, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from phichat.history.sqlite.failures import explained
from phichat.history.sqlite.opening import connect

STEPS_BETWEEN_LOOKS = 10_000
"""Instructions of SQLite's after which it looks whether it is still wanted: about every millisecond."""

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

    def __init__(self, path: Path, opener: Callable[[Path], sqlite3.Connection] = connect) -> None:
        self.path = path
        self._opener = opener
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
                self._connection = self._opener(self.path)
                # Not `interrupt`: that does nothing if it comes just before the statement begins.
                self._connection.set_progress_handler(lambda: self._job.abandoned, STEPS_BETWEEN_LOOKS)
            return work(self._connection)

    def _close(self) -> None:
        if self._connection:
            with explained(self.path):
                self._connection.close()
            self._connection = None
