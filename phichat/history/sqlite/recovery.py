"""Puts a new store in the place of a damaged one, with all that can still be read; the old file is kept."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from phichat.errors import HistoryError
from phichat.history.sqlite.failures import explained
from phichat.history.sqlite.opening import connect, log_of
from phichat.history.sqlite.salvage import salvage
from phichat.history.sqlite.transactions import transaction
from phichat.history.sqlite.writing import merge_in

BATCH = 100
"""Conversations that are written at once."""


class Recovered(NamedTuple):
    """What a recovery has saved."""

    conversations: int
    messages: int
    kept: Path
    """Where the damaged file is now."""


def recover(path: Path) -> Recovered:
    """Save what can be read of a damaged store; it may take minutes. No other program may have it open.

    Raises:
        HistoryError: it is not there, or there is no room for a new one. Nothing has changed then.
    """
    if not path.exists() and not log_of(path).exists():
        raise HistoryError(f"There are no conversations in {path}: it is not there.")
    with explained(path), tempfile.TemporaryDirectory(prefix=".recover-", dir=path.parent) as folder:
        copy, new = Path(folder) / "damaged.db", Path(folder) / "new.db"
        _copy(path, copy)
        conversations, messages = _save(copy, new)
        kept = path.with_name(f"{path.stem}.damaged-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
        _exchange(path, new, kept)
    return Recovered(conversations, messages, kept)


def _copy(path: Path, copy: Path) -> None:
    """A copy of a store's file and of its log."""
    for each, target in ((path, copy), (log_of(path), log_of(copy))):
        if each.exists():
            shutil.copyfile(each, target)


def _save(copy: Path, new: Path) -> tuple[int, int]:
    """Write what is readable in the copy into a new file; returns how many conversations and messages."""
    conversations = messages = 0
    found = salvage(copy)
    with contextlib.closing(connect(new)) as connection:
        while batch := list(itertools.islice(found, BATCH)):
            with transaction(connection, durable=False):
                merge_in(connection, batch)
            conversations += len(batch)
            messages += sum(len(transcript.messages) for transcript in batch)
    return conversations, messages


def _exchange(path: Path, new: Path, kept: Path) -> None:
    """Give the damaged file another name, and the new one its own; at no moment is none of it there."""
    log, kept_log = log_of(path), log_of(kept)
    try:
        for each, other in ((path, kept), (log, kept_log)):
            if each.exists():
                _name_as_well(each, other)
        # Beside another file than its own the log would damage that one.
        path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
        log.unlink(missing_ok=True)
        new.replace(path)
    except OSError:
        if kept_log.exists() and not log.exists():
            kept_log.rename(log)
        for other in (kept, kept_log):
            other.unlink(missing_ok=True)
        raise


def _name_as_well(file: Path, other: Path) -> None:
    """Give a file a second name, or a copy of that name where a file system has no such thing."""
    try:
        os.link(file, other)
    except OSError:
        shutil.copy2(file, other)
