"""Tells how a long operation goes: one line that changes on a terminal, few lines elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from phichat.cli.characters import suited, visible
from phichat.cli.guard import OutputClosedError, say
from phichat.cli.terminal import out, size
from phichat.events import BaseEvent, Progress, Status, Step, dump

PATIENCE_S = 1.0
"""What is over sooner needs no telling."""
REDRAW_S = 0.1
REPEAT_S = 10.0
"""Seconds between two lines about the same thing where lines cannot be redrawn."""


class Narrator:
    """A `Report` for people. It is silent for the first second; a `plain` one never draws a line again."""

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        plain: bool = False,
    ) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty() and not plain
        self._clock = clock
        self._began = clock()
        self._text = ""
        self._subject = ""
        self._told: tuple[str, float] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, event: BaseEvent) -> None:
        subject, text = _worded(event)
        if text:
            self.show(subject, text)

    def show(self, subject: str, text: str) -> None:
        """Show a line in place of the last one; `subject` is what it is about."""
        self._subject, self._text = subject, text
        self._soon()

    def keep(self, text: str) -> None:
        """Show a line that stays; what was not shown yet is older, and is not shown any more."""
        if self._timer:
            self._timer.cancel()
        self._text = ""
        self._clear()
        self._write(f"{suited(text, self._stream)}\n")

    def close(self) -> None:
        """Take the line away: what follows is data, or the end."""
        if self._timer:
            self._timer.cancel()
        self._clear()
        self._text, self._told = "", None

    def _clear(self) -> None:
        if self._terminal and self._told:
            self._write("\r\x1b[K")

    def _soon(self) -> None:
        """Tell now, or once the operation has lasted long enough to be told about."""
        if self._timer:
            self._timer.cancel()
        wait = self._due() - self._clock()
        if wait <= 0:
            self._tell()
            return
        with contextlib.suppress(RuntimeError):  # reported from a thread: a later event will be told
            self._timer = asyncio.get_running_loop().call_later(wait, self._tell)

    def _due(self) -> float:
        patient = self._began + PATIENCE_S
        if self._told is None:
            return patient
        subject, when = self._told
        gap = REDRAW_S if self._terminal else (REPEAT_S if subject == self._subject else 0)
        return max(patient, when + gap)

    def _tell(self) -> None:
        if not self._text:
            return
        self._told = (self._subject, self._clock())
        if self._terminal:
            # A line that wraps could not be taken back.
            self._write(f"\r\x1b[K{visible(self._text)[: shutil.get_terminal_size().columns - 1]}")
        else:
            self._write(f"{suited(self._text, self._stream)}\n")

    def _write(self, text: str) -> None:
        say(text, self._stream)


@contextlib.contextmanager
def narrated(*, plain: bool = False) -> Iterator[Narrator]:
    """A narrator whose line is gone in the end, however the operation ends."""
    narrator = Narrator(plain=plain)
    try:
        yield narrator
    finally:
        narrator.close()


@contextlib.contextmanager
def reported(as_json: bool) -> Iterator[Callable[[BaseEvent], None]]:
    """A `Report` for whoever reads: each event as a line of data for a script, a narrator for people."""
    if as_json:
        yield _as_data
        return
    with narrated() as narrator:
        yield narrator


def _as_data(event: BaseEvent) -> None:
    # Whoever stops listening does not stop what is half made: an error here would come out of the backend.
    with contextlib.suppress(OutputClosedError):
        out(dump(event))


def _worded(event: BaseEvent) -> tuple[str, str]:
    """What an event is about, and the line that tells it; empty for what people need not see."""
    if isinstance(event, Progress):
        return event.what, f"{event.what}: {_amount(event)}"
    if isinstance(event, Step) and event.state in ("running", "failed"):
        detail = f" {event.detail}" if event.detail else ""
        failed = " failed" if event.state == "failed" else " …"
        return event.name, f"{event.name}{detail}{failed}"
    if isinstance(event, Status) and event.detail:
        return event.state, event.detail
    return "", ""


def _amount(event: Progress) -> str:
    show = size if event.unit == "bytes" else (lambda count: f"{count:g} {event.unit}".strip())
    if not event.total:
        return show(event.done)
    return f"{event.done / event.total:.0%} of {show(event.total)}"
