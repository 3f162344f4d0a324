"""What is probably a mistake in a training that is about to begin, each as a sentence; it may be meant."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from phichat import models
from phichat.backends.base import TrainSpec
from phichat.data.told import plural
from phichat.workflow.recipe import manifest_of

if TYPE_CHECKING:
    from phichat.config import Config
    from phichat.data.manifest import Manifest

LOOKED_AT = 200
"""Rows of which the system prompts are looked at."""


def doubts(config: Config, spec: TrainSpec) -> Iterator[str]:
    """Every one of them."""
    yield from _of_base_model(config)
    yield from _of_learning_rate(spec)
    manifest = manifest_of(spec.dataset)
    if manifest is None:
        return
    model = models.resolve(spec.base_model).name
    if manifest.model and manifest.model != model:
        yield f"The data was checked for {manifest.model}, not for {model}: prepare it again."
        return
    configured, chosen = config.data.max_length, manifest.chosen_length
    if configured and chosen and configured != chosen:
        yield (
            f"The data was prepared for rows of {chosen:,} tokens, but [data] max_length is {configured:,} "
            "now: prepare it again."
        )
    yield from _of_length(spec, manifest)
    yield from _of_system(config.chat.system, spec)


def _of_base_model(config: Config) -> Iterator[str]:
    """The small model that runs anywhere, where one pays for a machine that does not need it."""
    if config.base_model is None and config.backend != type(config).model_fields["backend"].default:
        yield (
            f"No base_model is named, so {models.DEFAULT} is trained, the small model for trying things out: "
            "is that meant? (phichat models)"
        )


def _of_learning_rate(spec: TrainSpec) -> Iterator[str]:
    """A learning rate far from what is usual for this model, as a question."""
    numbers = {
        name: float(value)
        for name, value in spec.hyperparameters.items()
        if name.startswith("learning_rate") and isinstance(value, (int, float))
    }
    rate = numbers.get("learning_rate", math.nan)
    lower, upper = numbers.get("learning_rate_lower", 0.0), numbers.get("learning_rate_upper", math.inf)
    if rate < lower or rate > upper:
        yield f"Is a learning rate of {rate:g} meant? Usual for this model is {lower:g} to {upper:g}."


def _of_length(spec: TrainSpec, manifest: Manifest) -> Iterator[str]:
    """Rows that are longer than training keeps."""
    length, tokens = spec.hyperparameters.get("max_length"), manifest.tokens
    if not isinstance(length, int) or tokens is None or tokens.longest <= length:
        return
    rows = manifest.counts.train + manifest.counts.eval
    if length == manifest.max_length:
        many = f"{manifest.counts.truncated:,}"
    else:
        # The bar in which the limit lies has shorter rows, too.
        many = f"At least {max(1, sum(tokens.bars[length // tokens.width + 1 :])):,}"
    yield f"{many} of {plural(rows, 'row')} will be cut off: max_length is {length:,} tokens."


def _of_system(configured: str, spec: TrainSpec) -> Iterator[str]:
    """Chats that begin otherwise than what is learned."""
    with spec.dataset.train_file.open(encoding="utf-8") as lines:
        first = [json.loads(line)["messages"][0] for line in islice(lines, LOOKED_AT)]
    prompts = {turn["content"] if turn["role"] == "system" else "" for turn in first}
    if len(prompts) != 1 or prompts == {configured}:
        return
    (learned,) = prompts
    if not learned:
        yield "Chats have a system prompt, the rows that are learned have none."
        return
    yield f"Rows have the system prompt {_short(learned)}, chats have {'another' if configured else 'none'}."


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line if len(line) <= 24 else line[:23] + '…'}”"
