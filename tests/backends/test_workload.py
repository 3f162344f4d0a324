"""How much work a training is: reckoned from the file, compared with what the trainer will do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phichat.backends.base import Dataset, TrainSpec
from phichat.backends.workload import workload


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """100 rows of 400 bytes: about 100 tokens each."""
    path = tmp_path / "train.jsonl"
    path.write_text("".join(f"{'x' * 399}\n" for _ in range(100)), encoding="utf-8")
    return path


def spec(file: Path, rows: int | None = 100, **chosen: Any) -> TrainSpec:
    dataset = Dataset(train_file=file, train_rows=rows)
    return TrainSpec(name="r", dataset=dataset, base_model="b", hyperparameters=chosen)


@pytest.mark.parametrize(
    ("chosen", "steps"),
    [
        ({"packing": False, "batch_size": 8, "epochs": 5}, 65),
        ({"packing": False, "batch_size": 8, "epochs": 0.5}, 7),
        ({"packing": False, "batch_size": 4, "gradient_accumulation": 5, "epochs": 1}, 5),
        ({"packing": True, "batch_size": 2, "max_length": 1000, "epochs": 3}, 15),
        ({"packing": True, "batch_size": 2, "max_length": 1000, "epochs": 3, "max_steps": 4}, 4),
        ({}, 6),
    ],
)
def test_steps(file: Path, chosen: dict[str, Any], steps: int) -> None:
    assert workload(spec(file, **chosen)).steps == steps


def test_a_step_has_no_more_rows_than_there_are(file: Path) -> None:
    assert workload(spec(file, packing=False, batch_size=8)).rows_per_step == 8
    assert workload(spec(file, rows=1, packing=False, batch_size=8)).rows_per_step == 1


def test_rows_are_counted_where_nobody_did(file: Path) -> None:
    with file.open("a", encoding="utf-8") as rows:
        rows.write("\n")
    assert workload(spec(file, None)).rows == 100


def test_tokens_are_those_of_all_epochs_and_no_row_is_longer_than_it_may_be(file: Path) -> None:
    assert workload(spec(file, packing=False, epochs=2)).tokens == pytest.approx(20_000)
    assert workload(spec(file, packing=False, epochs=2, max_length=50)).tokens == pytest.approx(10_000)
    half = workload(spec(file, packing=False, batch_size=10, max_steps=5))
    assert half.tokens == pytest.approx(5_000)


def test_what_is_in_memory_at_once(file: Path) -> None:
    assert workload(spec(file, packing=True, batch_size=3, max_length=512)).batch_tokens == 1536
    assert workload(spec(file, packing=False, batch_size=3, max_length=512)).batch_tokens == pytest.approx(
        600
    )
    assert workload(spec(file, packing=False, batch_size=3, max_length=64)).batch_tokens == 192
