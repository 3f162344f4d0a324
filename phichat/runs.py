"""The ledger: what was run, as `run.json` and `events.jsonl` in a folder of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from filelock import FileLock
from pydantic import Field, ValidationError

from phichat.backends.base import EvalSpec, Job, TrainSpec, Value
from phichat.errors import NotFoundError
from phichat.events import Event, State, Status, dump, parse
from phichat.paths import write_atomic

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a run may be called: it names a folder here, and a job wherever it runs."""


class FlowSpec(Value):
    """A batch of rows through a flow, from beginning to end in one command."""

    name: str
    flow: Literal["chat", "evaluate"]
    engine: str
    data: Path
    deployment: str


Spec = TrainSpec | EvalSpec | FlowSpec


class Run(Value):
    """One job as the person asked for it. The place where it runs is the truth; this says where to look."""

    name: str
    backend: str
    spec: Spec
    job: Job | None = None
    """None until the backend has taken it: whoever finds that asks the backend again, by the same name.
    A batch through a flow never has one."""
    created: float = Field(default_factory=time.time)
    """Seconds since the epoch."""
    begun: float | None = None
    """When its last attempt was asked for; None: that was the first one."""
    worked: float = 0.0
    """Seconds that the attempts before that one took."""
    ended: float | None = None
    state: State = "queued"
    detail: str = ""
    state_seq: int = -1
    """The `seq` of the event that said so; -1 while none has."""
    priced: bool = False
    """Whether it costs money."""
    usd_rate: float | None = None
    """What it costs an hour while it runs, by the list price of the day it was asked for."""
    usd_before: float = 0.0
    """What it had cost when it was started last: its limit is for what comes after that."""

    @property
    def finished(self) -> bool:
        """Whether it has ended, well or not."""
        return Status(state=self.state).finished

    @property
    def asked(self) -> float:
        """When it was asked for last, in seconds since the epoch."""
        return self.created if self.begun is None else self.begun

    def again(self, at: float) -> Run:
        """The run as one that is asked for at a moment: what lay idle since it ended does not count."""
        if self.job is None:
            return self.model_copy(update={"begun": at})
        if self.ended is None:
            return self
        return self.model_copy(update={"begun": at, "worked": self.worked + self.ended - self.asked})


class Ledger:
    """The runs of a project, in one folder; safe for several processes at once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def runs(self) -> list[Run]:
        """Every run that can be read, the one that was asked for last first."""
        found = (self._read(path) for path in self.directory.glob("*/run.json"))
        return sorted((run for run in found if run is not None), key=lambda run: run.asked, reverse=True)

    def run(self, name: str) -> Run:
        """The run of that name.

        Raises:
            NotFoundError: there is none, or its file cannot be read.
        """
        run = self._read(self.directory / name / "run.json") if name else None
        if run is None:
            raise NotFoundError(f"There is no run {name!r}.", "phichat runs")
        return run

    def newest(self, backend: str, *, succeeded: bool = False, base_model: str | None = None) -> Run:
        """The training on a backend that was asked for last, of any base model or of one.

        Raises:
            NotFoundError: there is none.
        """
        for run in self.runs():
            if not isinstance(run.spec, TrainSpec) or run.backend != backend:
                continue
            if base_model in (None, run.spec.base_model) and (run.state == "succeeded" or not succeeded):
                return run
        raise NotFoundError("Nothing was trained yet.", "phichat train")

    def going(self, backend: str) -> Run | None:
        """The run that is under way on a backend, the one that was asked for last if there are several."""
        return next(
            (run for run in self.runs() if run.job and not run.finished and run.backend == backend), None
        )

    def write(self, run: Run) -> Run:
        """Keep a run as it is now; returns it."""
        with self._lock(run.name):
            return self._write(run)

    def forget(self, name: str) -> None:
        """Keep nothing of a run that no backend has taken."""
        with self._lock(name):
            run = self._read(self.directory / name / "run.json")
            if run is not None and run.job is None:
                (self.directory / name / "run.json").unlink()

    def note(self, name: str, status: Status) -> None:
        """Keep what an event of a run's story says of its state, unless something newer is known.

        Every look at a run goes through its story again, and several may look at once.
        """
        assert status.seq is not None, "only events of a stream have a place in it"
        with self._lock(name):
            known = self.run(name)
            if known.finished or (status.seq <= known.state_seq and not status.finished):
                return
            if (known.state, known.detail) == (status.state, status.detail):
                return
            ended = status.at if status.finished else None
            noted = {"state": status.state, "detail": status.detail, "ended": ended, "state_seq": status.seq}
            self._write(known.model_copy(update=noted))

    def free_name(self, name: str) -> str:
        """The name, or the first of `name-2`, `name-3`, … that no run has."""
        taken = {path.parent.name for path in self.directory.glob("*/run.json")}
        number = 2
        candidate = name
        while candidate in taken:
            candidate = f"{name}-{number}"
            number += 1
        return candidate

    def events(self, name: str) -> EventLog:
        """The run's events."""
        return EventLog(self.directory / name / "events.jsonl")

    def _write(self, run: Run) -> Run:
        write_atomic(self.directory / run.name / "run.json", run.model_dump_json(indent=2))
        return run

    def _lock(self, name: str) -> FileLock:
        folder = self.directory / name
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / "run.lock")

    @staticmethod
    def _read(path: Path) -> Run | None:
        try:
            return Run.model_validate_json(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValidationError):
            return None


class EventLog:
    """A run's events in one file: appended once each, however many watch, and read again in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = -1
        """The highest `seq` that the file has, as far as it was read."""
        self._position = 0

    def __iter__(self) -> Iterator[Event]:
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                # A line without its end is one that a crash, or a full disk, cut off.
                if line.endswith("\n"):
                    yield parse(line)

    def append(self, event: Event) -> bool:
        """Keep an event of a stream; False if its `seq` is there already."""
        assert event.seq is not None, "only events of a stream have a place in it"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")), self.path.open("a+b") as file:
            if not self._read_on(file):
                file.truncate(self._position)
            if event.seq <= self.last:
                return False
            line = f"{dump(event)}\n".encode()
            file.write(line)
            self._position += len(line)
            self.last = event.seq
        return True

    def look(self) -> None:
        """Find out which events the file has."""
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            self._read_on(file)

    def _read_on(self, file: BinaryIO) -> bool:
        """Read what has come; False if the last line has no end."""
        file.seek(self._position)
        newest, whole = b"", True
        for line in file:
            whole = line.endswith(b"\n")
            if whole:
                newest = line
                self._position += len(line)
        if newest:  # each is above the one before it: to read the others would take long
            self.last = parse(newest.decode()).seq or 0
        return whole


def run_name(spec: TrainSpec | EvalSpec, label: str, backend: str) -> str:
    """A name that says what it is and changes with what is asked for, and where: `label-0123abcd`."""
    asked = {"backend": backend, **spec.model_dump(mode="json", exclude={"name", "resume_from", "max_usd"})}
    # The same data elsewhere is the same data.
    if spec.dataset.fingerprint:
        asked["dataset"] = spec.dataset.fingerprint
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:40]
    return f"{slug}-{digest[:8]}"
