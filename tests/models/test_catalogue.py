"""The catalogue of base models: complete, consistent, and in the field's own terms."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from phichat.models import DEFAULT, catalogue
from phichat.models.catalogue import CatalogueEntry, LearningRate

ENTRIES = catalogue().values()
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.alias)


def test_has_the_phi_family_and_the_default_first() -> None:
    assert list(catalogue()) == ["smollm2", "phi-3-mini", "phi-3.5-mini", "phi-4-mini", "phi-4"]
    assert next(iter(catalogue())) == DEFAULT


@each
def test_every_entry_says_where_its_weights_come_from(entry: CatalogueEntry) -> None:
    assert (entry.revision is None) == (entry.package is not None)


@each
def test_the_download_is_as_large_as_the_parameters(entry: CatalogueEntry) -> None:
    if entry.package:
        assert entry.download_bytes == entry.package.wheel_bytes
    else:
        assert entry.download_bytes == pytest.approx(2 * entry.parameters, rel=1e-4)


@each
def test_padding_never_ends_a_turn(entry: CatalogueEntry) -> None:
    assert entry.pad_token != entry.stop_tokens[0]


@each
def test_lora_goes_to_every_linear_module(entry: CatalogueEntry) -> None:
    """The names are those of the model's own code: PEFT passes over a wrong one without a word."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Phi3Config, Phi3ForCausalLM

    small: dict[str, Any] = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    with torch.device("meta"):
        model = (
            LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, vocab_size=8, **small))
            if entry.alias == "smollm2"
            else Phi3ForCausalLM(Phi3Config(num_hidden_layers=1, vocab_size=8, pad_token_id=0, **small))
        )
    linear = {
        name.rpartition(".")[2] for name, module in model.named_modules() if type(module) is torch.nn.Linear
    }
    assert set(entry.lora_targets) == linear - {"lm_head"}


def test_an_entry_without_a_revision_is_an_error() -> None:
    entry = catalogue()["phi-4"].model_dump() | {"revision": None}
    with pytest.raises(ValidationError, match="revision is missing"):
        CatalogueEntry.model_validate(entry)


def test_a_padding_token_that_ends_a_turn_is_an_error() -> None:
    entry = catalogue()["phi-4"].model_dump() | {"pad_token": "<|im_end|>"}
    with pytest.raises(ValidationError, match="ends a turn"):
        CatalogueEntry.model_validate(entry)


def test_a_learning_rate_outside_its_own_bounds_is_an_error() -> None:
    with pytest.raises(ValidationError):
        LearningRate(default=1e-3, lower=1e-5, upper=1e-4, source="nobody")
