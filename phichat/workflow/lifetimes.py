"""Deployments whose time to live is up: nothing ends them by itself, so they are told until they are gone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.backends.base import DeploymentState, Resource
from phichat.paths import write_atomic

if TYPE_CHECKING:
    from phichat.workflow.project import Project


FOLDER = "lifetimes"
"""Below the project's state: a file for each backend."""


class Lifetimes:
    """When the time of each deployment is up, kept on this machine so that nobody has to be asked."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        """Whoever looks and whoever deletes do so in threads."""

    def seen(self, states: Sequence[DeploymentState]) -> None:
        """Keep what the backend says of all of its deployments."""
        ours = [state for state in states if not state.foreign]
        with self._lock:
            self._keep({state.deployment.id: state.until for state in ours if state.until is not None})

    def gone(self, name: str) -> None:
        """Forget a deployment, or all of an endpoint."""
        with self._lock:
            known = self._known()
            self._keep(
                {each: until for each, until in known.items() if name not in (each, each.split("/")[0])}
            )

    def over(self) -> dict[str, float]:
        """The deployments whose time is up, as far as is known here, with when that was."""
        return {name: until for name, until in self._known().items() if until < time.time()}

    def _known(self) -> dict[str, float]:
        try:
            told = json.loads(self._file.read_text(encoding="utf-8"))
            return {str(name): float(until) for name, until in told.items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}

    def _keep(self, known: Mapping[str, float]) -> None:
        if known != self._known():
            write_atomic(self._file, json.dumps(known))


def overdue(project: Project) -> str:
    """One line about what is over its time and may cost on, on any backend; else empty. Asks nobody."""
    over = []
    for file in sorted((project.state / FOLDER).glob("*.json")):
        over += [(until, name, file.stem) for name, until in Lifetimes(file).over().items()]
    if not over:
        return ""
    until, name, backend = min(over)
    others = f" and {len(over) - 1} more" if len(over) > 1 else ""
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(until))
    verb = "are" if others else "is"
    there = "" if backend == project.config.backend else f" --backend {backend}"
    return f"{name}{others} {verb} over its time since {since} and may cost on: phichat down --expired{there}"


async def expired(project: Project) -> list[Resource]:
    """What is alive although its time is up; an endpoint is, when all of its deployments are."""
    now, ours = time.time(), [state for state in await project.deployments() if not state.foreign]
    over = {state.deployment.id for state in ours if state.until is not None and state.until < now}
    kept = {state.endpoint for state in ours if state.deployment.id not in over}
    over |= {state.endpoint for state in ours if state.endpoint and state.endpoint not in kept}
    return [each for each in await project.resources() if each.name in over]
