"""What is probably a mistake in a training is said before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phichat.backends.base import Dataset, TrainSpec
from phichat.config import Config
from phichat.config.schema import DataConfig
from phichat.data.manifest import MANIFEST_FILE, Counts, Manifest, SplitReport
from phichat.data.tokens import histogram
from phichat.workflow.doubts import doubts

LENGTHS = (40, 60, 100, 130, 400)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Five rows that were prepared for SmolLM2, of which two are longer than 120 tokens."""
    counts = Counts(read=5, train=5, eval=0, bad=0, removed=0, truncated=2)
    manifest = Manifest(
        fingerprint="f",
        source="rows.jsonl",
        source_kind="file",
        parts=(),
        counts=counts,
        split=SplitReport(seed=0, test_size=0, share=0),
        model="smollm2",
        max_length=120,
        chosen_length=120,
        tokens=histogram(LENGTHS),
    )
    (tmp_path / MANIFEST_FILE).write_text(manifest.model_dump_json(), encoding="utf-8")
    (tmp_path / "train.jsonl").touch()
    return Dataset(train_file=tmp_path / "train.jsonl")


def found(dataset: Dataset, base_model: str = "smollm2", data: int | None = None, **train: Any) -> list[str]:
    spec = TrainSpec(name="r", dataset=dataset, base_model=base_model, hyperparameters=train)
    return list(doubts(Config(data=DataConfig(max_length=data)), spec))


def test_rows_that_will_be_cut_off(dataset: Dataset) -> None:
    told = "Of 5 rows {} will be cut off: they are longer than max_length, {} tokens."
    assert found(dataset, max_length=120) == [told.format("2", 120)]
    assert found(dataset, max_length=50) == [told.format("at least 4", 50)]
    assert found(dataset, max_length=399) == [told.format("at least 1", 399)]
    assert found(dataset, max_length=400) == []


def test_another_model_than_the_data_was_checked_for(dataset: Dataset) -> None:
    told = "The data was checked for smollm2, not for phi-4: prepare it again."
    assert found(dataset, "phi-4", max_length=120) == [told]


def test_another_length_than_the_data_was_prepared_for(dataset: Dataset) -> None:
    assert found(dataset, data=120, max_length=500) == []
    (told,) = found(dataset, data=600, max_length=500)
    assert told == (
        "The data was prepared for rows of 120 tokens, but [data] max_length is 600 now: prepare it again."
    )


def test_a_learning_rate_far_from_the_usual(dataset: Dataset) -> None:
    bounds: dict[str, Any] = {"learning_rate_lower": 1e-6, "learning_rate_upper": 1e-3}
    (told,) = found(dataset, learning_rate=0.5, **bounds)
    assert told == "Is a learning rate of 0.5 meant? Usual for this model is 1e-06 to 0.001."
    assert found(dataset, learning_rate=1e-4, **bounds) == []


def test_of_data_that_nobody_has_prepared_nothing_is_known(tmp_path: Path) -> None:
    assert found(Dataset(train_file=tmp_path / "t.jsonl"), "phi-4", max_length=8) == []
