"""The lines of one attempt, each told once and always in the same order, through all machines that it had.

A machine that takes over says first what the one before had said, as far as that was kept, between a line
`replay` and a line `start` (trainer/story.py). Who has listened to the one before may have heard more than
that: what was told here is kept in a file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phichat.events import Status, dump

EVENT = '{"kind"'
TAKEN = "Azure took the machine away and has given another one: it goes on from the last checkpoint."


class Telling:
    """Hears a log from its beginning, as often as it begins anew, and passes on what was not told yet."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._told: list[list[int]] = [[0, 0]]
        """How many other lines and how many events of each machine were told."""
        self._heard = [0, 0]
        """How many of the present machine were heard since the log began."""
        self._machine = 0
        self._anew = False
        from filelock import FileLock, Timeout

        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(file.with_suffix(".lock"), thread_local=False)
        with contextlib.suppress(Timeout):  # somebody else here listens, too, and keeps it
            self._lock.acquire(timeout=0)
        # A line without its end is being written just now.
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        self._before = text.split("\n")[:-1]

    def known(self) -> Iterator[str]:
        """What was told here before; it is told again first."""
        for line in self._before:
            if _kind(line) == "start":
                self._told.append([0, 0])
            self._told[-1][_is_event(line)] += 1
            yield _shown(line)

    def begin(self) -> None:
        """The log has begun anew: another machine writes it."""
        self._machine, self._heard, self._anew = 0, [0, 0], True

    def hear(self, line: str) -> Iterator[str]:
        """What is to be told because of a line."""
        kind = _kind(line)
        if kind == "replay":
            self._machine, self._heard, self._anew = 0, [0, 0], False
            return
        if kind == "start":
            self._machine, self._heard = int(json.loads(line)["number"]), [0, 0]
            while len(self._told) <= self._machine:
                self._told.append([0, 0])
        elif self._anew and kind:
            # Nothing was kept of what the machine before had said.
            yield from self.hear(json.dumps({"kind": "start", "at": _at(line), "number": len(self._told)}))
            self._anew = False
        which = _is_event(line)
        self._heard[which] += 1
        if self._heard[which] > self._told[self._machine][which]:
            self._told[self._machine][which] += 1
            self._keep(line)
            yield _shown(line)

    def close(self) -> None:
        """Let somebody else keep it."""
        self._lock.release()

    def _keep(self, line: str) -> None:
        if self._lock.is_locked:
            with self._file.open("a", encoding="utf-8", newline="\n") as file:
                file.write(f"{line}\n")


def lines_of(log: str) -> list[str]:
    """The lines of a log; JSON may hold whatever else Python takes for the end of one."""
    lines = log.split("\n")
    return [seen(line) for line in (lines if lines[-1] else lines[:-1])]


def seen(line: str) -> str:
    """What is left of a line in the end, where a progress bar has written over itself."""
    return line.rstrip("\r").rpartition("\r")[2]


def _kind(line: str) -> str:
    """The kind of an event; empty for every other line."""
    if not line.startswith(EVENT):
        return ""
    try:
        told: Any = json.loads(line)
    except ValueError:
        return ""
    return str(told.get("kind", ""))


def _is_event(line: str) -> bool:
    return bool(_kind(line))


def _at(line: str) -> float:
    return float(json.loads(line).get("at", 0.0))


def _shown(line: str) -> str:
    """A line as the application's own words have it."""
    if _kind(line) != "start":
        return line
    return dump(Status(state="preparing", detail=TAKEN, at=_at(line)))
