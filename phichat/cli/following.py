"""Follows a run to its end: one line that changes with every step, and one that stays for each evaluation."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING

from phichat.cli.narration import Narrator, narrated
from phichat.cli.terminal import narrate, out
from phichat.events import Event, Metric, Sample, Status, dump
from phichat.workflow.course import Course
from phichat.workflow.estimates import duration
from phichat.workflow.money import Meter

if TYPE_CHECKING:
    from phichat.runs import Run
    from phichat.workflow import Project

ANSWER = 100
"""Characters of an answer that are shown."""


async def follow(project: Project, name: str, as_json: bool) -> Status:
    """Tell how a run goes until it ends; returns how it ended. Ctrl-C leaves it running.

    Raises:
        NotFoundError: there is no such run.
    """
    if not as_json:
        tell_page(project.training.ledger.run(name))
    try:
        async with contextlib.aclosing(project.watch(name)) as events:
            with narrated() as narrator:
                told = Told(narrator, Meter(project.training.ledger.run(name)))
                async for event in events:
                    if as_json:
                        out(dump(event))
                    else:
                        told(event)
                    if isinstance(event, Status) and event.finished:
                        return event
    except asyncio.CancelledError:
        come_back(name, f"\n{name} goes on without you.")
        raise
    raise AssertionError("a watch ends with a finished status")


def tell_page(run: Run) -> None:
    """Say where in a browser a run can be seen, if the backend has such a page."""
    if run.job and run.job.url.startswith(("https://", "http://")):
        narrate(f"In the browser: {run.job.url}")


def come_back(name: str, before: str) -> None:
    """Say how to see a run again."""
    narrate(f"{before} Come back: phichat watch {name}. End it: phichat cancel {name}.")


class Told:
    """What of a run's events people see, and how."""

    def __init__(self, narrator: Narrator, meter: Meter | None = None) -> None:
        self._narrator = narrator
        self._meter = meter
        self._eval_loss = math.nan
        self._answered = True
        """Whether an answer was shown since the last evaluation: one is enough."""
        self._course = Course()

    def __call__(self, event: Event) -> None:
        """Tell one event."""
        self._course.feed(event)
        if self._meter is not None:
            self._meter.feed(event)
        if isinstance(event, Metric):
            self._metric(event)
        elif isinstance(event, Sample):
            if not self._answered:
                self._narrator.keep(f"  “{_short(event.prompt)}” → “{_short(event.text)}”")
            self._answered = True
        elif not (isinstance(event, Status) and event.finished):
            self._narrator(event)

    def _metric(self, event: Metric) -> None:
        values = event.values
        if "eval_loss" in values:
            self._eval_loss = values["eval_loss"]
            self._answered = False
            self._narrator.keep(f"{_step(event)}: eval loss {self._eval_loss:.3f}")
        elif "loss" in values:
            self._narrator.show("training", " · ".join(self._line(event)))

    def _line(self, event: Metric) -> list[str]:
        values = event.values
        line = [_step(event), f"loss {values['loss']:.3f}"]
        if not math.isnan(self._eval_loss):
            line.append(f"eval loss {self._eval_loss:.3f}")
        if "tokens_per_s" in values:
            line.append(f"{values['tokens_per_s']:,.0f} tokens/s")
        left = self._course.left
        if left is not None:
            line.append(f"{duration(left)} left")
        usd = self._meter.cost(event.at).usd if self._meter else None
        return [*line, f"US${usd:.2f} so far"] if usd else line


def _step(event: Metric) -> str:
    return f"step {event.step} of {event.total}" if event.total else f"step {event.step}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= ANSWER else f"{line[: ANSWER - 1]}…"
