"""What is probably a mistake in a training is said before it begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from phichat.backends.base import Dataset, TrainSpec
from phichat.config import Config
from phichat.config.schema import ChatConfig, DataConfig
from phichat.data.manifest import MANIFEST_FILE, Counts, Manifest, SplitReport
from phichat.data.tokens import histogram
from phichat.workflow.doubts import doubts

LENGTHS = (40, 60, 100, 130, 400)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return prepared(tmp_path, "")


def prepared(folder: Path, rows: str) -> Dataset:
    """Rows that were prepared for SmolLM2; five, as it is told, of which two are longer than 120 tokens."""
    counts = Counts(read=5, train=5, eval=0, bad=0, removed=0, truncated=2, train_bytes=len(rows))
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
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(), encoding="utf-8")
    (folder / "train.jsonl").write_text(rows, encoding="utf-8")
    return Dataset(train_file=folder / "train.jsonl")


def found(
    dataset: Dataset, base_model: str = "smollm2", data: int | None = None, system: str = "", **train: Any
) -> list[str]:
    spec = TrainSpec(name="r", dataset=dataset, base_model=base_model, hyperparameters=train)
    config = Config(data=DataConfig(max_length=data), chat=ChatConfig(system=system))
    return list(doubts(config, spec))


def test_rows_that_will_be_cut_off(dataset: Dataset) -> None:
    told = "{} of 5 rows will be cut off: max_length is {} tokens."
    assert found(dataset, max_length=120) == [told.format("2", 120)]
    assert found(dataset, max_length=50) == [told.format("At least 4", 50)]
    assert found(dataset, max_length=399) == [told.format("At least 1", 399)]
    assert found(dataset, max_length=400) == []


def test_the_small_model_where_one_pays(dataset: Dataset) -> None:
    spec = TrainSpec(name="r", dataset=dataset, base_model="smollm2")
    (told,) = doubts(Config(backend="azureml"), spec)
    assert told.startswith("No base_model is named, so smollm2 is trained")
    assert list(doubts(Config(backend="azureml", base_model="smollm2"), spec)) == []
    assert list(doubts(Config(), spec)) == []


def test_another_model_than_the_data_was_checked_for(dataset: Dataset) -> None:
    told = "The data was checked for smollm2, not for phi-4: prepare it again."
    assert found(dataset, "phi-4", max_length=120) == [told]


def test_another_length_than_the_data_was_prepared_for(dataset: Dataset) -> None:
    assert found(dataset, data=120, max_length=500) == []
    (told,) = found(dataset, data=600, max_length=500)
    assert told == (
        "The data was prepared for rows of 120 tokens, but [data] max_length is 600 now: prepare it again."
    )


NO_ROW = "Chats have a system prompt, the rows that are learned have none."
OTHER = "Rows have the system prompt {}, chats have {}."


@pytest.mark.parametrize(
    ("rows", "chats", "told"),
    [
        (["", ""], "", []),
        (["Be kind.", "Be kind."], "Be kind.", []),
        (["Be kind.", "Be brief."], "", []),
        (["", ""], "Be kind.", [NO_ROW]),
        (["Be kind."], "", [OTHER.format("“Be kind.”", "none")]),
        (["Be " + "kind " * 20], "No.", [OTHER.format(f"“Be {'kind ' * 4}…”", "another")]),
    ],
)
def test_chats_that_begin_otherwise_than_what_is_learned(
    tmp_path: Path, rows: list[str], chats: str, told: list[str]
) -> None:
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}]
    systems = [[{"role": "system", "content": system}] if system else [] for system in rows]
    lines = [json.dumps({"messages": [*system, *turns]}) + "\n" for system in systems]
    assert found(prepared(tmp_path, "".join(lines)), system=chats, max_length=400) == told


def test_a_learning_rate_far_from_the_usual(dataset: Dataset) -> None:
    bounds: dict[str, Any] = {"learning_rate_lower": 1e-6, "learning_rate_upper": 1e-3}
    (told,) = found(dataset, learning_rate=0.5, **bounds)
    assert told == "Is a learning rate of 0.5 meant? Usual for this model is 1e-06 to 0.001."
    assert found(dataset, learning_rate=1e-4, **bounds) == []


def test_of_data_that_nobody_has_prepared_nothing_is_known(tmp_path: Path) -> None:
    assert found(Dataset(train_file=tmp_path / "t.jsonl"), "phi-4", max_length=8) == []
