"""Long work that goes on while people look at something else, and the news of its end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Activity:
    """Work that takes long, as the line of every screen shows it."""

    what: str
    """In a few words: `training smollm2-0123abcd`."""
    share: float | None = None
    """How much of it is done, from 0 to 1; None: nobody knows."""

    def __str__(self) -> str:
        return self.what if self.share is None else f"{self.what} {self.share:.0%}"


@dataclass(frozen=True)
class News:
    """Long work has ended: told on whatever screen one is, and to who looks elsewhere."""

    text: str
    ok: bool = True
