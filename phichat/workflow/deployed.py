"""What deployments have cost: for each the hours that it was there, as far as this machine has seen them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from phichat.backends.base import DeploymentState, Resource, Value
from phichat.paths import write_atomic

FOLDER = "deployed"
"""Below the project's state: a file for each backend."""


class Life(Value):
    """One deployment from when it was made until it was gone, in seconds since the epoch."""

    id: str
    made: float
    gone: float | None = None
    """None: it is there."""
    usd_per_hour: float = 0.0


_LIVES: TypeAdapter[dict[str, Life]] = TypeAdapter(dict[str, Life])


class Deployed:
    """The deployments that a project has had on a backend, those of other machines once they were seen."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        """Whoever looks and whoever deletes do so in threads."""

    def seen(self, states: Sequence[DeploymentState]) -> None:
        """Keep what the backend says of all of its deployments; what is not among them is gone by now."""
        there = {
            f"{state.deployment.id} {state.made:.0f}": Life(id=state.deployment.id, made=state.made)
            for state in states
            if state.made is not None and not state.foreign
        }
        with self._lock:
            known = self._known()
            for key, life in known.items():
                known[key] = life.model_copy(update={"gone": None}) if key in there else _ended(life)
            self._keep({**there, **known})

    def rated(self, prices: Mapping[str, float | None]) -> None:
        """Keep what those that are there cost an hour, by their ids; an unknown price is not kept."""
        with self._lock:
            known = self._known()
            for key, life in known.items():
                price = prices.get(life.id)
                if price is not None and life.gone is None:
                    known[key] = life.model_copy(update={"usd_per_hour": price})
            self._keep(known)

    def gone(self, name: str) -> None:
        """A deployment, or an endpoint with all of its own, was removed."""
        with self._lock:
            known = self._known()
            self._keep(
                {
                    key: _ended(life) if name in (life.id, life.id.split("/")[0]) else life
                    for key, life in known.items()
                }
            )

    def cost(self) -> float:
        """US dollars that all of them have cost until now, by list price."""
        now = time.time()
        return sum(
            max(0.0, (life.gone or now) - life.made) / 3600 * life.usd_per_hour
            for life in self._known().values()
        )

    def _known(self) -> dict[str, Life]:
        try:
            return _LIVES.validate_json(self._file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}

    def _keep(self, known: dict[str, Life]) -> None:
        if known != self._known():
            write_atomic(self._file, _LIVES.dump_json(known).decode())


def prices(alive: Sequence[Resource]) -> dict[str, float | None]:
    """What each deployment costs an hour."""
    return {each.name: each.usd_per_hour for each in alive if each.kind == "deployment"}


def _ended(life: Life) -> Life:
    return life if life.gone is not None else life.model_copy(update={"gone": time.time()})
