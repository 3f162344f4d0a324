"""Runs of the trainer's scripts, each a process of its own, and what they say."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from phichat.events import Event, Log, Metric, Sample, Status, Step, parse

DEADLINE = 120.0
"""Seconds after which a test gives up waiting for another process."""


class Run:
    """One process, known by its id, with its output in files."""

    def __init__(self, pid: int, folder: Path, wait: Callable[[int], int]) -> None:
        self.pid = pid
        self._folder = folder
        self._wait = wait

    @property
    def events(self) -> list[Event]:
        """What it has said so far, in whole lines."""
        text = (
            (self._folder / "stdout").read_text(encoding="utf-8")
            if (self._folder / "stdout").exists()
            else ""
        )
        return [parse(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    @property
    def errors(self) -> str:
        """What it wrote on standard error."""
        return (self._folder / "stderr").read_text(encoding="utf-8")

    @property
    def last(self) -> Status:
        """How it says that it ended; nothing may follow, and nothing but events may be on stdout."""
        events = self.events
        finished = [event for event in events if isinstance(event, Status) and event.finished]
        assert len(finished) == 1, self.errors
        assert events[-1] is finished[0]
        return finished[0]

    @property
    def steps(self) -> dict[str, str]:
        """The last state of each named step."""
        return {event.name: event.state for event in self.events if isinstance(event, Step)}

    @property
    def logs(self) -> list[str]:
        return [event.line for event in self.events if isinstance(event, Log)]

    @property
    def samples(self) -> list[Sample]:
        return [event for event in self.events if isinstance(event, Sample)]

    def metrics(self, name: str) -> dict[int, float]:
        """A metric by training step; it must not have been told twice."""
        told = [e for e in self.events if isinstance(e, Metric) and name in e.values]
        found = {event.step: event.values[name] for event in told}
        assert len(found) == len(told)
        return found

    def wait(self) -> int:
        """Its exit code, or the number of the signal that ended it, negative."""
        return self._wait(self.pid)

    def until(self, happened: Callable[[Run], Any]) -> None:
        """Wait until something can be seen of the run."""
        deadline = time.monotonic() + DEADLINE
        while not happened(self):
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.002)

    def signal(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        os.kill(self.pid, number)
        return self.wait()


class Runs:
    """Starts runs without loading the libraries for each again."""

    def __init__(self, zygote: subprocess.Popen[str]) -> None:
        self._zygote = zygote

    def start(
        self,
        script: str,
        folder: Path,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        largest_file: int | None = None,
        memory: int | None = None,
        stdout: str = "stdout",
    ) -> Run:
        """Start a script; `folder` gets its output. Limits are in bytes, `memory` on top of the libraries."""
        folder.mkdir(parents=True, exist_ok=True)
        request = {
            "script": script,
            "folder": str(folder),
            "argv": list(argv),
            "stdout": stdout,
            "environment": dict(environment or {}),
            "largest_file": largest_file,
            "memory": memory,
        }
        return Run(self._ask(request), folder, lambda pid: self._ask({"wait": pid}))

    def _ask(self, request: Mapping[str, Any]) -> int:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(f"{json.dumps(request)}\n")
        self._zygote.stdin.flush()
        return int(self._zygote.stdout.readline())


@contextlib.contextmanager
def open_runs() -> Iterator[Runs]:
    """A process to start runs from."""
    zygote = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("zygote.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with zygote:
        yield Runs(zygote)
        assert zygote.stdin is not None
        zygote.stdin.close()


def arguments(folder: Path, data: tuple[Path, Path | None], settings: Mapping[str, Any]) -> list[str]:
    """The command line of a training run in `folder`; the settings are written there."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    config.write_text(json.dumps(settings), encoding="utf-8")
    train, held_out = data
    argv = ["--train-file", str(train), "--config", str(config), "--output-dir", str(folder / "out")]
    return [*argv, "--eval-file", str(held_out)] if held_out else argv
