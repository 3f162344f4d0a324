"""How a run goes: its events, gathered into what people want to see of it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

from phichat.events import Artifact, Event, Log, Metric, Progress, Sample, Status, Step

T = TypeVar("T")
Point = tuple[int, float]
"""A training step, and what was measured there."""
SHORT = 32
"""Characters of a detail that is told with its step; a longer one, as a path is, says too much."""
TRAINING, FINISHING = "training", "finishing"
"""What happens from step to step, and after the last one."""
LOG_LINES = 2000
"""Of the log, the last ones."""


@dataclass
class Course:
    """A run as far as it has told about itself; `feed` it the events in their order.

    A run that goes on from a checkpoint repeats steps that an earlier attempt had done: they are
    forgotten then.
    """

    losses: list[Point] = field(default_factory=list)
    eval_losses: list[Point] = field(default_factory=list)
    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """What the model said to each probe, with the step."""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    artifacts: dict[str, str] = field(default_factory=dict)
    status: Status | None = None
    activity: str = ""
    """What happens now, in a few words."""
    done: float = 0.0
    total: float | None = None
    """How much of that is done, where somebody counts."""
    unit: str = ""
    step: int | None = None
    steps: int | None = None
    """The training step, and how many there will be."""
    learning_rate: float | None = None
    tokens_per_s: float | None = None
    events: int = 0
    _first: tuple[int, float] | None = None
    """Step and seconds of the first step of this attempt: what came before it was no training."""
    _seconds: float | None = None

    def feed(self, event: Event) -> None:
        """Take in one event."""
        self.events += 1
        match event:
            case Metric():
                self._measure(event)
            case Sample():
                _keep(self.answers.setdefault(event.prompt, []), event.step, event.text)
            case Progress():
                self.activity, self.done, self.total = event.what, event.done, event.total
                self.unit = event.unit
            case Step():
                if event.state in ("running", "failed"):
                    detail = event.detail if len(event.detail) <= SHORT else ""
                    self._doing(f"{event.name} {detail}".strip())
            case Status():
                self.status = event
                self._doing("" if event.finished else event.detail)
                self._first = None
            case Artifact():
                self.artifacts[event.name] = event.uri
            case Log():
                self.log.append(event.line)

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.status is not None and self.status.finished

    @property
    def share(self) -> float | None:
        """How much of what happens now is done, from 0 to 1; None: nobody knows."""
        return self.done / self.total if self.total and self.activity != FINISHING else None

    @property
    def aside(self) -> str:
        """What happens before and after the training itself, where few words say it."""
        return self.activity if self.activity != TRAINING and len(self.activity) <= SHORT else ""

    @property
    def best(self) -> Point | None:
        """The first of the lowest eval losses since the training began: whose model may be kept."""
        trained = [point for point in finite(self.eval_losses) if point[0]]
        return min(trained, key=lambda point: point[1]) if trained else None

    @property
    def left(self) -> float | None:
        """Seconds to the last training step, if it goes on like this; None while nobody knows."""
        if self._first is None or self._seconds is None or not self.step or self.steps is None:
            return None
        step, begun = self._first
        if self.step <= step:
            return None
        return (self._seconds - begun) / (self.step - step) * (self.steps - self.step)

    def _measure(self, event: Metric) -> None:
        values = event.values
        if "loss" in values:
            _keep(self.losses, event.step, values["loss"])
            self._training(event)
        elif "eval_loss" in values:
            _keep(self.eval_losses, event.step, values["eval_loss"])

    def _training(self, event: Metric) -> None:
        values = event.values
        self.step, self.steps = event.step, event.total
        # After the last step it is evaluated, and the best model is looked up, without a word.
        last = event.total is not None and event.step >= event.total
        self.activity, self.unit = FINISHING if last else TRAINING, "steps"
        self.done, self.total = event.step, event.total
        self.learning_rate = values.get("learning_rate", self.learning_rate)
        self.tokens_per_s = values.get("tokens_per_s", self.tokens_per_s)
        self._seconds = values.get("seconds")
        if self._seconds is not None:
            self._first = self._first or (event.step, self._seconds)

    def _doing(self, what: str) -> None:
        self.activity, self.done, self.total, self.unit = what, 0.0, None, ""


def _keep(points: list[tuple[int, T]], step: int, value: T) -> None:
    """Note a value of a step; what an earlier attempt had noted from there on is forgotten."""
    while points and points[-1][0] >= step:
        points.pop()
    points.append((step, value))


def finite(points: list[Point]) -> list[Point]:
    """Those that are numbers: a loss that has diverged is none."""
    return [point for point in points if math.isfinite(point[1])]
