"""How far the project's model is: whether it can answer, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from phichat.screens.wording import amount

if TYPE_CHECKING:
    from phichat.errors import PhichatError
    from phichat.events import Event

Phase = Literal["opening", "offered", "declined", "preparing", "ready", "failed"]
Obstacle = Literal["", "offered", "declined", "downloading", "failed"]

LINE = 32
"""Characters of a detail that the first line of a screen has room for; a longer one is left out."""


@dataclass(frozen=True)
class Readiness:
    """How far the project's model is.

    `offered`: its weights would have to be downloaded first, and nobody has agreed to that yet.
    """

    phase: Phase = "opening"
    detail: str = ""
    """What happens now, in a few words."""
    amount: str = ""
    """How much of it is done, as people read it."""
    done: float | None = None
    total: float | None = None
    """The same as numbers, where somebody counts."""
    size: int | None = None
    """Bytes to download, where a download is offered; None: nobody knows how many."""
    problem: PhichatError | None = None

    @property
    def brief(self) -> str:
        """What happens now as it fits the corner of a line: of what is counted the verb and the numbers."""
        if not self.amount:
            return self.detail or "loading"
        return f"{self.detail.partition(' ')[0].lower()} {self.amount}"

    @property
    def obstacle(self) -> Obstacle:
        """What stands in the way of an answer and has to be told; empty when nothing does."""
        match self.phase:
            case "offered" | "declined" | "failed":
                return self.phase
            case "preparing" if self.total:
                return "downloading"  # whatever is counted takes long enough to be one
        return ""


def heard(event: Event, size: int | None) -> Readiness | None:
    """What an event says of a model that is being prepared; None: nothing for the corner of a screen."""
    if event.kind == "progress":
        counted = amount(event.done, event.total, event.unit)
        return Readiness("preparing", event.what, counted, event.done, event.total, size)
    if event.kind == "step" and event.state == "running":
        return Readiness("preparing", f"preparing the {event.name}", size=size)
    if event.kind == "status" and len(event.detail) <= LINE:
        return Readiness("preparing", event.detail, size=size)
    return None
