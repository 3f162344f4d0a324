"""What the curve of a training says, in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from phichat.workflow.course import Point

Kind = Literal["early", "diverged", "overfitting", "rising", "flat", "settled", "falling"]

NOTICEABLE = 0.01
"""Share of the loss from which on a change is one."""
FEW = 8
"""Training losses of which too few say anything: each is of one batch only."""


class Reading(NamedTuple):
    """What somebody who has seen many curves would say."""

    kind: Kind
    sentence: str


def read(losses: Sequence[Point], eval_losses: Sequence[Point]) -> Reading:
    """The curve in a word and a sentence: from the eval losses, or without them from the training's."""
    for step, value in (*losses, *eval_losses):
        if not math.isfinite(value):
            told = f"No number any more at step {step}: the learning rate is probably too high."
            return Reading("diverged", told)
    if len(eval_losses) >= 2:
        return _of_evaluations(eval_losses)
    if len(losses) >= FEW:
        return _of_batches([value for _, value in losses])
    return Reading("early", "It is too early to say how it goes.")


def _of_evaluations(points: Sequence[Point]) -> Reading:
    first, before, last = points[0][1], points[-2][1], points[-1][1]
    step, best = min(points, key=lambda point: point[1])
    if last > best * (1 + NOTICEABLE):
        if best == first:
            told = f"The eval loss rises, {_course(first, last)}: try a lower learning rate."
            return Reading("rising", told)
        told = f"Overfitting: the eval loss rises again, from {best:.3f} at step {step} to {last:.3f}."
        return Reading("overfitting", told)
    if first - last < first * NOTICEABLE:
        told = f"Flat: the eval loss stays at {last:.3f}. A higher learning rate may help."
        return Reading("flat", told)
    if len(points) > 2 and before - last < before * NOTICEABLE:
        told = f"Settled: the eval loss stays at {last:.3f}. More steps will hardly help."
        return Reading("settled", told)
    return Reading("falling", f"Falling: the eval loss goes {_course(first, last)}.")


def _of_batches(values: Sequence[float]) -> Reading:
    part = max(2, len(values) // 4)
    first, last = sum(values[:part]) / part, sum(values[-part:]) / part
    # One batch differs from the next by more than one evaluation from the next.
    noticeable = first * NOTICEABLE * 3
    if last > first + noticeable:
        return Reading("rising", f"The loss rises, {_course(first, last)}: try a lower learning rate.")
    if last < first - noticeable:
        return Reading("falling", f"Falling: the loss goes {_course(first, last)}.")
    return Reading("flat", f"Flat: the loss stays at about {last:.3f}. A higher learning rate may help.")


def _course(first: float, last: float) -> str:
    return f"from {first:.3f} to {last:.3f}"
