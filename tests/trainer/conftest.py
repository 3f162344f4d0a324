"""What the trainer's tests share: a process that starts runs, and a little data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phichat.testing.data import write_dataset
from tests.trainer.runs import Runs, open_runs

Data = tuple[Path, Path | None]


@pytest.fixture(scope="session")
def runs() -> Iterator[Runs]:
    """Starts runs of the trainer's scripts; the libraries are loaded once."""
    with open_runs() as opened:
        yield opened


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """32 short conversations, four of them also held out."""
    dataset = write_dataset(tmp_path_factory.mktemp("data"))
    return dataset.train_file, dataset.eval_file


@pytest.fixture
def settings(tiny_phi3: Path) -> dict[str, Any]:
    """All weights of the tiny model, in float32: 12 steps that can be compared number by number."""
    return {
        "base_model": str(tiny_phi3),
        "method": "full",
        "epochs": 3,
        "learning_rate": 3e-3,
        "batch_size": 8,
        "packing": False,
        "max_length": 128,
        "precision": "fp32",
        "answer_tokens": 8,
        "evaluate": False,
    }
