"""What the tests of training on Azure share: a little work, and jobs whose story is written beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from phichat.backends.azureml import assets, environment
from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.base import Dataset, Job, TrainSpec
from phichat.events import Event, dump
from phichat.testing.data import write_dataset

SMALL = {
    "method": "full",
    "max_steps": 4,
    "batch_size": 8,
    "packing": False,
    "max_length": 128,
    "precision": "fp32",
    "answer_tokens": 8,
    "eval_steps": 2,
    "save_steps": 2,
    "device": "cpu",
    "evaluate": False,
}
BASE = "microsoft/Phi-3-mini-4k-instruct@0a67737cc96d2554230f90338b163bc6380a2a85"
"""A model of the hub: it is downloaded where the job runs, so nothing of it is needed here."""


def spec_of(folder: Path, name: str = "first", *, base: str = BASE, **chosen: Any) -> TrainSpec:
    """A training of four steps."""
    return TrainSpec(name=name, dataset=data_in(folder), base_model=base, hyperparameters={**SMALL, **chosen})


def data_in(folder: Path) -> Dataset:
    """32 conversations, four of them held out."""
    return write_dataset(folder / "data")


def ignore(event: Event) -> None:
    """Nobody listens."""


def small_trainer(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """A trainer of two files, for jobs that nobody runs: there is less to bring up."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.py").write_text("print('trained')", encoding="utf-8")
    (folder / "conda.yaml").write_text("name: small\n", encoding="utf-8")
    for module in (assets, environment):
        patch.setattr(module, "bundled", lambda name: folder)
    return folder


async def watched(backend: AzureMLBackend, job: Job) -> list[Event]:
    """Everything that a run tells, to its end."""
    return [event async for event in backend.watch(job)]


def told(events: Iterable[Event]) -> list[str]:
    """What events say, whenever they said it."""
    return [dump(event.model_copy(update={"at": 0.0})) for event in events]


def line(kind: str, **values: Any) -> bytes:
    """One line of the trainer's."""
    return f"{json.dumps({'kind': kind, 'at': 1_800_000_000.0, **values})}\n".encode()


def play(*parts: bytes, ends: int = 0) -> Callable[[Path], int | None]:
    """A job that writes one part at each look, and then ends with that exit code; each begins anew."""
    position: dict[Path, int] = {}

    def look(log: Path) -> int | None:
        done = position[log] = position.get(log, 0) if log.stat().st_size else 0
        if done == len(parts):
            return ends
        with log.open("ab") as file:
            file.write(parts[done])
        position[log] += 1
        return None

    return look


def forever(log: Path) -> int | None:
    """A job that goes on and on."""
    return None
