"""The example backend, broken in one way at a time: what the conformance suite is tried with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TypeVar

from phichat_markov import Markov

from phichat.backends.hookspecs import hookimpl

M = TypeVar("M", bound=Markov)


@dataclass(frozen=True)
class Variant:
    """A broken backend, the standard test that must catch it, and a part of what that test says."""

    backend: type[Markov]
    test: str
    says: str
    limits: dict[str, float] = field(default_factory=dict)
    """Attributes of the test class that spare the trial some waiting."""

    @property
    def entry_point(self) -> str:
        """Where an entry point finds the plugin."""
        return f"{self.backend.__module__}:{self.backend.__name__}.plugin"


VARIANTS: dict[str, Variant] = {}


def broken(test: str, says: str, **limits: float) -> Callable[[type[M]], type[M]]:
    """Note which standard test catches a variant, and make a plugin of it."""

    def note(backend: type[M]) -> type[M]:
        VARIANTS[backend.__name__] = Variant(backend, test, says, limits)
        backend.plugin = SimpleNamespace(phichat_backend=hookimpl(lambda: backend))  # type: ignore[attr-defined]
        return backend

    return note


def block() -> None:
    """Do what a blocking SDK does to the event loop."""
    time.sleep(0.5)
