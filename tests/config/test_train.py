"""`[train]` and the trainer's own settings are the same, field for field."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import ValidationError

import identity
from phichat.backends import workload
from phichat.config.train import TrainConfig
from phichat.models import PresetName
from phichat.workflow import recipe, training
from settings import Settings, SettingsError, TrainSettings

OURS = {"preset"}
"""What the trainer does not know: it is resolved before."""
THEIRS = {
    "base_model",
    "revision",
    "device",
    "threads",
    "data_fingerprint",
    "run_name",
    "probes",
    "stop_tokens",
    "learning_rate_lower",
    "learning_rate_upper",
}
"""What is not chosen with the training: it comes from elsewhere in the configuration, or the catalogue."""
TRAINER = {each.name: each for each in dataclasses.fields(TrainSettings) if each.name not in THEIRS}
FIELDS = {name: field for name, field in TrainConfig.model_fields.items() if name not in OURS}
LIMITS = {"above": "gt", "least": "ge", "below": "lt", "most": "le"}


def test_the_names_are_the_same() -> None:
    assert FIELDS.keys() == TRAINER.keys()


@pytest.mark.parametrize("name", TRAINER)
def test_a_setting_is_the_same(name: str) -> None:
    field, theirs = FIELDS[name], TRAINER[name]
    hint = get_type_hints(TrainSettings)[name]
    assert field.annotation == hint | None
    assert field.description == theirs.metadata["doc"]
    limits = {ours: getattr(limit, ours) for limit in field.metadata for ours in vars_of(limit)}
    assert limits == {LIMITS[kind]: theirs.metadata[kind] for kind in LIMITS if kind in theirs.metadata}
    assert field.default is None, "what nobody says, the preset or the trainer decides"


def test_the_examples_of_a_new_project_are_good_together() -> None:
    examples = {name: field.examples[0] for name, field in FIELDS.items() if field.examples}
    assert examples.keys() == FIELDS.keys()
    TrainSettings.parse({"base_model": "b", **examples})


def vars_of(limit: object) -> list[str]:
    return [name for name in LIMITS.values() if hasattr(limit, name)]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "inf"])
def test_numbers_are_finite(value: object) -> None:
    with pytest.raises(ValidationError):
        TrainConfig.model_validate({"epochs": value})
    with pytest.raises(SettingsError):
        TrainSettings.parse({"base_model": "b", "epochs": value})


def test_what_was_chosen_is_what_the_trainer_reads() -> None:
    chosen: dict[str, Any] = {"preset": "lora", "lora_targets": ["a", "b"], "epochs": 2, "packing": False}
    told = TrainConfig.model_validate(chosen).chosen
    assert told == {"lora_targets": ["a", "b"], "epochs": 2.0, "packing": False}
    settings = TrainSettings.parse({"base_model": "b", **told})
    assert (settings.lora_targets, settings.epochs, settings.packing) == (("a", "b"), 2.0, False)


def test_the_presets_are_those_of_the_models() -> None:
    (choices, _) = get_args(TrainConfig.model_fields["preset"].annotation)
    assert choices == PresetName


def test_the_same_settings_are_free_to_change_when_a_run_goes_on() -> None:
    assert identity.FREE - THEIRS | {"probes"} == training.FREE


def test_an_evaluation_is_told_what_it_shares_with_training() -> None:
    shared = {each.name for each in dataclasses.fields(Settings)} - {"device", "threads"}
    assert set(recipe.SHARED) == shared


def test_a_workload_is_reckoned_with_the_defaults_of_the_trainer() -> None:
    defaults = {name: TRAINER[name].default for name in workload.DEFAULTS}
    assert dict(workload.DEFAULTS) == defaults
