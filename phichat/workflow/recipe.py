"""What a training job is told: the preset, what the catalogue knows, what was chosen, and the probes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pydantic import JsonValue

from phichat import models
from phichat.backends.base import Dataset
from phichat.backends.workload import DEFAULTS
from phichat.config import Config
from phichat.config.train import TrainConfig
from phichat.data.demo import probes as demo_probes
from phichat.data.manifest import Manifest, open_prepared
from phichat.errors import DataError
from phichat.models.presets import Hyperparameters, default_preset, hyperparameters

PROBES = 3
"""Questions that are asked at each evaluation where the dataset brings none of its own."""
SHARED = ("max_length", "seed", "stop_tokens", "probes", "answer_tokens")
"""What an evaluation is told as the training was."""


def recipe(
    config: Config, base_model: str, dataset: Dataset, train: TrainConfig | None = None
) -> Hyperparameters:
    """The hyperparameters of a training as it is configured, or with another `[train]`.

    Raises:
        ConfigError: there is no such base model.
    """
    manifest = manifest_of(dataset)
    told = _settings(config, base_model, manifest.chosen_length if manifest else None, train)
    questions = list(_probes(dataset, manifest))
    return {**told, "probes": questions} if questions else told


def row_length(config: Config, base_model: str, chosen: int | None) -> int:
    """The tokens of a row that training will keep, of data for which so many were chosen, or none.

    Raises:
        ConfigError: there is no such base model.
    """
    return int(str(_settings(config, base_model, chosen).get("max_length", DEFAULTS["max_length"])))


def _settings(
    config: Config, base_model: str, length: int | None, train: TrainConfig | None = None
) -> Hyperparameters:
    """Who decides: `[train]`, then what was chosen for the data, then `[data]`, the preset, and the model."""
    entry = models.resolve(base_model).entry
    chosen = train or config.train
    preset = chosen.preset or _preset_of(chosen.method) or default_preset(entry)
    of_data = length or config.data.max_length
    lengths = {"max_length": of_data} if of_data else {}
    return {**hyperparameters(entry, preset, chosen.method), **lengths, **chosen.chosen}


def _preset_of(method: str | None) -> models.PresetName | None:
    if method is None:
        return None
    return "full" if method == "full" else "lora"


def _probes(dataset: Dataset, manifest: Manifest | None) -> Iterator[JsonValue]:
    """The dataset's own questions with what a right answer holds, else the first that were held out."""
    if manifest and manifest.source_kind == "demo":
        for probe in demo_probes():
            yield {"prompt": probe.prompt, "expect": list(probe.expect)}
    elif dataset.eval_file is not None and dataset.eval_file.is_file():
        yield from islice(_questions(dataset.eval_file), PROBES)


def manifest_of(dataset: Dataset) -> Manifest | None:
    """What is known of a dataset that `phichat data` has prepared."""
    try:
        return open_prepared(dataset.train_file.parent).manifest
    except DataError:
        return None


def _questions(file: Path) -> Iterator[str]:
    """What people ask first. A line that is wrong is left to the trainer, which names it."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with contextlib.suppress(ValueError, LookupError, TypeError):
                first = json.loads(line)["messages"][0]
                if first["role"] == "user":
                    yield str(first["content"])
