"""How much work a training is, before anybody has tokenized its data: rows, tokens, steps, weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phichat.backends.base import TrainSpec, Value

BYTES_PER_TOKEN = 4.0
"""Of prepared JSONL: English has about four letters to a token, and the JSON of a turn weighs about what the
tokens of the chat template do."""
DEFAULTS: Mapping[str, Any] = {
    "method": "lora",
    "epochs": 3.0,
    "batch_size": 4,
    "gradient_accumulation": 1,
    "max_length": 2048,
    "packing": True,
}
"""The trainer's own, of what matters here."""


class Workload(Value):
    """What a training job has to get through."""

    rows: int
    """Conversations to train on."""
    tokens: float
    """In all epochs together; within a third of the truth for English."""
    steps: int
    """Of the optimizer."""
    rows_per_step: int
    batch_tokens: float
    """In memory at once, at most."""
    method: str


def workload(spec: TrainSpec) -> Workload:
    """The work that a training specification asks for.

    Raises:
        OSError: the training file cannot be read.
    """
    chosen: dict[str, Any] = {**DEFAULTS, **spec.hyperparameters}
    file, length, batch = spec.dataset.train_file, chosen["max_length"], chosen["batch_size"]
    rows = spec.dataset.train_rows or _lines(spec)
    tokens = min(file.stat().st_size / BYTES_PER_TOKEN, rows * length)
    packed = math.ceil(tokens / length) if chosen["packing"] else rows
    rows_per_step = min(batch * chosen["gradient_accumulation"], max(packed, 1))
    epoch = max(1, math.ceil(packed / rows_per_step))
    steps = chosen.get("max_steps") or math.ceil(epoch * chosen["epochs"])
    return Workload(
        rows=rows,
        tokens=tokens / epoch * steps,
        steps=steps,
        rows_per_step=rows_per_step,
        batch_tokens=batch * (length if chosen["packing"] else min(length, 2 * tokens / max(rows, 1))),
        method=chosen["method"],
    )


def parameters_in(folder: Path) -> float:
    """The number of weights in a model folder, from the size of its files."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    dtype = config.get("dtype") or config.get("torch_dtype")
    each = 4 if dtype == "float32" else 2
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) / each


def _lines(spec: TrainSpec) -> int:
    with spec.dataset.train_file.open("rb") as file:
        return sum(1 for line in file if line.strip())
