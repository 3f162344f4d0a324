"""Presets: named sets of hyperparameters, of which each model has its own version."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from phichat.models.catalogue import CatalogueEntry, PresetName

PRESETS_FILE = Path(__file__).with_name("presets.toml")
ADAPTERS = ("lora", "qlora")
"""The methods that train an adapter."""

Hyperparameters = dict[str, JsonValue]
"""The trainer's own settings, as JSON has them."""


def default_preset(entry: CatalogueEntry | None) -> PresetName:
    """The preset of a person who names none: of a model that nobody knows, an adapter."""
    return entry.preset if entry else "lora"


def hyperparameters(
    entry: CatalogueEntry | None,
    preset: PresetName,
    method: Literal["full", "lora", "qlora"] | None = None,
) -> Hyperparameters:
    """What a preset means for a model; `method` replaces the preset's own, and what depends on it."""
    chosen = {**_presets()[preset], **(entry.presets.get(preset, {}) if entry else {})}
    if method:
        chosen["method"] = method
    adapter = chosen["method"] in ADAPTERS
    chosen["learning_rate"] = _presets()["lora" if adapter else "full"]["learning_rate"]
    return {**chosen, **_known(entry, adapter)} if entry else chosen


def _known(entry: CatalogueEntry, adapter: bool) -> Hyperparameters:
    """What the catalogue knows about training this model."""
    rate = entry.lora if adapter else entry.full
    return {
        "learning_rate": rate.default,
        "learning_rate_lower": rate.lower,
        "learning_rate_upper": rate.upper,
        "stop_tokens": list(entry.stop_tokens),
        **({"lora_targets": list(entry.lora_targets)} if adapter else {}),
    }


@cache
def _presets() -> dict[str, Hyperparameters]:
    with PRESETS_FILE.open("rb") as file:
        return tomllib.load(file)
