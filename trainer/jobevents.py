"""What a job says while it runs: JSON lines on standard output, and everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal, Self

from story import Story

State = Literal["preparing", "running", "succeeded", "failed", "cancelled"]


class Events:
    """Writes one event a line, each with a single call, so that no other writer can break a line.

    A reader that has gone away does not disturb the work. `descriptor` None: nothing is written, as in all
    but the first process of a distributed run.
    """

    def __init__(self, descriptor: int | None, story: Story | None = None) -> None:
        self._descriptor = descriptor
        self._story = story

    @classmethod
    def on_stdout(cls, speaking: bool = True) -> Self:
        """Take standard output for events alone: what others print there goes to standard error."""
        sys.stdout.flush()
        descriptor = os.dup(1)
        os.dup2(2, 1)
        if not speaking:
            return cls(None)
        events = cls(descriptor, Story.here())
        events.say_again()
        return events

    def say_again(self) -> None:
        """Say what an earlier machine has said that was taken away, where that is kept."""
        if self._descriptor is None or self._story is None:
            return
        said = self._story.again()
        with contextlib.suppress(OSError):
            while said:
                said = said[os.write(self._descriptor, said) :]

    def status(self, state: State, detail: str = "") -> None:
        """The state of the whole job."""
        self._write("status", state=state, detail=detail)

    def step(
        self, name: str, state: Literal["running", "done", "reused", "failed"], detail: str = ""
    ) -> None:
        """One named step of the job."""
        self._write("step", name=name, state=state, detail=detail)

    def progress(self, what: str, done: float, total: float | None, unit: str) -> None:
        """How much of a countable thing is done; `total` None: nobody knows."""
        self._write("progress", what=what, done=done, total=total, unit=unit)

    def metric(self, step: int, total: int | None, values: Mapping[str, float]) -> None:
        """Numbers measured at a training step."""
        self._write("metric", step=step, total=total, values=finite_or_words(values))

    def sample(self, step: int, prompt: str, text: str) -> None:
        """What the model answered to a probe."""
        self._write("sample", step=step, prompt=prompt, text=text)

    def artifact(self, name: str, uri: str) -> None:
        """Something that was made, and where it is."""
        self._write("artifact", name=name, uri=uri)

    def log(self, line: str) -> None:
        """A sentence for the reader."""
        self._write("log", line=line)

    def _write(self, kind: str, **values: Any) -> None:
        if self._descriptor is None:
            return
        known = {name: value for name, value in values.items() if value is not None}
        text = json.dumps({"kind": kind, "at": time.time(), **known}, ensure_ascii=False)
        line = f"{text}\n".encode(errors="replace")
        if self._story is not None:
            self._story.add(line)
        with contextlib.suppress(OSError):
            os.write(self._descriptor, line)


def finite_or_words(values: Mapping[str, float]) -> dict[str, float | str]:
    """JSON has no word for what is not a number: it travels as text, as pydantic reads it back."""
    return {name: value if math.isfinite(value) else _word(value) for name, value in values.items()}


def _word(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
