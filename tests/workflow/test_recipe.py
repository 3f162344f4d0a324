"""What a training job is told: who decides, and which questions show what was learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from phichat.backends.base import Dataset
from phichat.config import Config
from phichat.config.schema import DataConfig
from phichat.config.train import TrainConfig
from phichat.data import DataOptions, prepare
from phichat.data.demo import probes
from phichat.workflow.recipe import recipe, row_length


def config(data: dict[str, Any] | None = None, **train: Any) -> Config:
    return Config(train=TrainConfig(**train), data=DataConfig(**(data or {})))


def dataset(folder: Path, *held_out: object) -> Dataset:
    train, held = folder / "train.jsonl", folder / "eval.jsonl"
    train.write_text("{}\n", encoding="utf-8")
    held.write_text("".join(f"{json.dumps(row)}\n" for row in held_out), encoding="utf-8")
    return Dataset(train_file=train, eval_file=held)


def row(question: str, role: str = "user") -> dict[str, object]:
    return {"messages": [{"role": role, "content": question}, {"role": "assistant", "content": "Yes."}]}


def test_the_person_decides_over_the_preset_and_the_preset_over_the_model(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    assert recipe(config(), "smollm2", data)["epochs"] == 5.0
    told = recipe(config(preset="lora", learning_rate=3e-4, lora_r=8), "smollm2", data)
    assert (told["method"], told["learning_rate"], told["lora_r"], told["epochs"]) == ("lora", 3e-4, 8, 3.0)
    assert "preset" not in told


def test_a_method_without_a_preset_brings_its_own(tmp_path: Path) -> None:
    told = recipe(config(method="lora"), "smollm2", dataset(tmp_path))
    assert (told["method"], told["learning_rate"], told["epochs"]) == ("lora", 1e-3, 3.0)
    told = recipe(config(method="full"), "phi-3-mini", dataset(tmp_path))
    assert (told["method"], told["learning_rate"]) == ("full", 5e-6)


def test_rows_are_as_long_as_the_data_was_prepared_for(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    assert recipe(config(), "smollm2", data)["max_length"] == 512
    assert recipe(config({"max_length": 300}), "smollm2", data)["max_length"] == 300
    assert recipe(config({"max_length": 300}, max_length=200), "smollm2", data)["max_length"] == 200


@pytest.mark.parametrize(
    ("chosen", "data", "train", "kept"),
    [
        (None, {}, {}, 512),
        (300, {}, {}, 300),
        (300, {"max_length": 400}, {}, 300),
        (None, {"max_length": 400}, {}, 400),
        (300, {"max_length": 400}, {"max_length": 200}, 200),
        (None, {}, {"preset": "smoke"}, 256),
    ],
)
async def test_what_is_chosen_for_the_data_reaches_training_and_what_training_does_reaches_the_data(
    tmp_path: Path, chosen: int | None, data: dict[str, Any], train: dict[str, Any], kept: int
) -> None:
    configured = config(data, **train)
    assert row_length(configured, "smollm2", chosen) == kept
    options = DataOptions(tokens=False, max_length=chosen)
    prepared = await prepare("demo", options, tmp_path, lambda event: None)
    assert recipe(configured, "smollm2", prepared.dataset)["max_length"] == kept


async def test_the_demo_set_brings_its_questions(tmp_path: Path) -> None:
    prepared = await prepare("demo", DataOptions(tokens=False), tmp_path, lambda event: None)
    told = recipe(config(), "smollm2", prepared.dataset)["probes"]
    assert told == [{"prompt": probe.prompt, "expect": list(probe.expect)} for probe in probes()]


def test_other_data_is_asked_what_was_held_out(tmp_path: Path) -> None:
    rows = [row("One?"), row("Be brief.", "system"), row("Two?"), row("Three?"), row("Four?")]
    assert recipe(config(), "smollm2", dataset(tmp_path, *rows))["probes"] == ["One?", "Two?", "Three?"]


@pytest.mark.parametrize("wrong", [{}, [], {"messages": []}, {"messages": [{}]}, "text"])
def test_a_wrong_row_is_left_to_the_trainer(tmp_path: Path, wrong: object) -> None:
    assert recipe(config(), "smollm2", dataset(tmp_path, wrong, row("One?")))["probes"] == ["One?"]
    assert "probes" not in recipe(config(), "smollm2", dataset(tmp_path, wrong))


def test_without_held_out_rows_there_are_no_questions(tmp_path: Path) -> None:
    data = dataset(tmp_path).model_copy(update={"eval_file": None})
    assert "probes" not in recipe(config(), "smollm2", data)
