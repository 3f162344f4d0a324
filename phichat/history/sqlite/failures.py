"""What SQLite and the file system complain about, as one sentence and a hint."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from phichat.errors import HistoryError

FREE_SPACE = "Free some disk space and try again."


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
