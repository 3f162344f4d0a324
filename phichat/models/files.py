"""Files of many bytes: hashing them, making room for them, and saying how far an operation on them is."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from phichat.errors import QuotaError
from phichat.events import Event, Progress

_CHUNK = 1 << 20
_SECONDS_BETWEEN = 0.2
MAKE_ROOM = "Free some room, or set PHICHAT_CACHE to a folder on another disk, and run it again."


def sha256_of(path: Path, each: Callable[[int], object] = lambda _: None) -> str:
    """The SHA-256 of a file in hexadecimal; `each` gets the number of bytes of every piece read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            each(len(chunk))
    return digest.hexdigest()


def require_room(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk has no room for; `needed` is in bytes.

    Raises:
        QuotaError: the disk of the folder has less room.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise QuotaError(
            f"{needed / 1e9:.1f} GB are needed in {folder}, and {free / 1e9:.1f} GB are free.", MAKE_ROOM
        )


def store(path: Path) -> None:
    """Wait until a file is on the disk: a power failure after this leaves all of it."""
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Meter:
    """Says how much of one thing is done, at most five times a second; call it with units done and in all."""

    def __init__(self, what: str, report: Callable[[Event], None], unit: str = "bytes") -> None:
        self._what = what
        self._report = report
        self._unit = unit
        self._said = float("-inf")

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._said >= _SECONDS_BETWEEN or done == total:
            self._said = now
            self._report(Progress(what=self._what, done=done, total=total, unit=self._unit))


class Tally:
    """Adds up bytes as they come and passes on how many there are, and how many there will be."""

    def __init__(self, total: int, progress: Callable[[int, int], None]) -> None:
        self.done = 0
        self.total = total
        self._progress = progress

    def add(self, count: int) -> None:
        """Count some more bytes; fewer where some turned out to be useless."""
        self.done += count
        self._progress(self.done, self.total)
