"""Says why a job has made no model, and what would make one."""

from __future__ import annotations

from phichat.errors import NotFoundError

ENDS = {"failed": "has failed", "cancelled": "was cancelled", "canceled": "was cancelled"}


def no_model(name: str, state: str) -> NotFoundError:
    """The error of a job without a model: one that has ended must go on, another one is waited for."""
    if state in ENDS:
        told = f"The run {name!r} {ENDS[state]}: it has made no model."
        return NotFoundError(told, f"To train on from its last checkpoint: phichat train --name {name}")
    return NotFoundError(f"The run {name!r} has made no model yet.", f"phichat watch {name}")
