"""Hashing files, and saying how far a long operation is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from phichat.events import Event, Progress

_CHUNK = 1 << 20
_SECONDS_BETWEEN = 0.2


def sha256_of(path: Path, each: Callable[[int], object] = lambda _: None) -> str:
    """The SHA-256 of a file in hexadecimal; `each` gets the number of bytes of every piece read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            each(len(chunk))
    return digest.hexdigest()


class Meter:
    """Says how much of one thing is done, at most five times a second; call it with bytes done and in all."""

    def __init__(self, what: str, report: Callable[[Event], None]) -> None:
        self._what = what
        self._report = report
        self._said = float("-inf")

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._said >= _SECONDS_BETWEEN or done == total:
            self._said = now
            self._report(Progress(what=self._what, done=done, total=total, unit="bytes"))
