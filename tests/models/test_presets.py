"""Presets: every one is something that the trainer takes, and each model's own version is data."""

from __future__ import annotations

from typing import get_args

import pytest

from phichat.models import PresetName, catalogue
from phichat.models.catalogue import CatalogueEntry
from phichat.models.presets import default_preset, hyperparameters
from settings import TrainSettings

NAMES: tuple[PresetName, ...] = get_args(PresetName)
MODELS = [None, *catalogue().values()]


@pytest.mark.parametrize("preset", NAMES)
@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry.alias if entry else "unknown")
def test_the_trainer_takes_every_preset(entry: CatalogueEntry | None, preset: PresetName) -> None:
    for method in (None, "full", "lora", "qlora"):
        told = hyperparameters(entry, preset, method)
        settings = TrainSettings.parse({"base_model": "b", **told})
        assert settings.method == (method or {"smoke": "lora"}.get(preset, preset))
        if entry:
            rate = entry.full if settings.method == "full" else entry.lora
            assert settings.learning_rate == rate.default
            assert (settings.learning_rate_lower, settings.learning_rate_upper) == (rate.lower, rate.upper)
            assert settings.stop_tokens == entry.stop_tokens
            adapted = settings.lora_targets == entry.lora_targets
            assert adapted == (settings.method != "full")


def test_smollm2_is_trained_whole_by_the_recipe_that_was_measured() -> None:
    entry = catalogue()["smollm2"]
    assert default_preset(entry) == "full"
    told = hyperparameters(entry, "full")
    recipe = {
        "method": "full",
        "learning_rate": 1e-4,
        "epochs": 5.0,
        "batch_size": 8,
        "max_length": 512,
        "packing": False,
        "scheduler": "linear",
        "warmup": 0.1,
    }
    assert recipe.items() <= told.items()


def test_an_adapter_is_the_default_where_all_weights_may_not_fit() -> None:
    assert {default_preset(entry) for entry in MODELS if not entry or entry.alias != "smollm2"} == {"lora"}


def test_the_learning_rate_goes_with_the_method() -> None:
    full, lora = hyperparameters(None, "full"), hyperparameters(None, "full", "lora")
    assert (full["learning_rate"], lora["learning_rate"]) == (1e-5, 2e-4)


def test_a_preset_is_not_changed_by_who_uses_it() -> None:
    hyperparameters(None, "smoke")["max_steps"] = 1000
    assert hyperparameters(None, "smoke")["max_steps"] == 4
