"""What a run has told so far, in a file of its own: a run that goes on tells nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jobevents import finite_or_words


class Record:
    """The metrics of a run, one JSON object a line, kept through every attempt.

    A line is written before it is told to anybody: after a crash, something may not have been told, but
    nothing is told twice. `path` None: nothing is kept, as in all but the first of several processes.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._latest: dict[str, int] = {}
        self.seconds = 0.0
        """How long the run had trained when the last line was written."""
        if path is not None and path.exists():
            _drop_broken_end(path)
            for line in self.lines():
                self._count(line["step"], line["values"])

    def add(self, step: int, total: int | None, values: Mapping[str, float]) -> bool:
        """Keep metrics of a step; False if the same have been kept before."""
        # "epoch" and "seconds" come with every kind of metrics; what else there is tells the kind.
        if all(step <= self._latest.get(name, -1) for name in values if name not in ("epoch", "seconds")):
            return False
        self._count(step, values)
        if self._path is not None:
            line = json.dumps({"step": step, "total": total, "values": finite_or_words(values)})
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        return True

    def lines(self) -> Iterator[dict[str, Any]]:
        """Everything kept, in its order."""
        if self._path is not None and self._path.exists():
            with self._path.open(encoding="utf-8") as file:
                yield from map(json.loads, file)

    @property
    def step(self) -> int:
        """The last step of which anything is kept."""
        return max(self._latest.values(), default=0)

    def values(self, name: str) -> list[float]:
        """All values of a metric, in their order."""
        return [float(line["values"][name]) for line in self.lines() if name in line["values"]]

    def _count(self, step: int, values: Mapping[str, Any]) -> None:
        for name in values:
            self._latest[name] = max(step, self._latest.get(name, -1))
        self.seconds = max(self.seconds, float(values.get("seconds", 0)))


def _drop_broken_end(path: Path) -> None:
    """Remove a last line that a crash has cut off."""
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
