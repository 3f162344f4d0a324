"""What a run trains on: the base model's folder, its tokenizer, and the rows in tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import weights
from files import read_json
from jobevents import Events
from masking import Masker
from rows import Rows, tokenize
from settings import TrainSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Material:
    """What is trained, and on what."""

    base: Path
    device: torch.device
    tokenizer: Any
    masker: Masker
    rows: Rows
    held_out: Rows | None


def prepare(
    train_file: Path, eval_file: Path | None, base: Path, settings: TrainSettings, events: Events
) -> Material:
    """Read and tokenize the rows, and prove that what is learned in them is what should be.

    Raises:
        TrainError: a row is wrong, or the base model cannot be trained on chats.
    """
    events.step("data", "running")
    device = weights.place(settings.device)
    tokenizer = weights.tokenizer_of(base)
    masker = Masker(tokenizer, weights.stop_tokens(base, tokenizer, settings))
    rows = tokenize(train_file, masker, settings.max_length, events)
    held_out = tokenize(eval_file, masker, settings.max_length, events) if eval_file else None
    detail = f"{len(rows.examples)} conversations, {rows.tokens} tokens, {rows.learned} of them learned"
    events.step("data", "done", f"{detail}; turns marked {masker.how}")
    for question in doubts(settings, base):
        events.log(question)
    return Material(base, device, tokenizer, masker, rows, held_out)


def doubts(settings: TrainSettings, base: Path) -> Iterator[str]:
    """What is probably a mistake, but may be meant."""
    rate, lower, upper = settings.learning_rate, settings.learning_rate_lower, settings.learning_rate_upper
    if lower is not None and rate < lower:
        yield f"Is learning_rate {rate:g} meant? For this model {lower:g} is the least that is usual."
    if upper is not None and rate > upper:
        yield f"Is learning_rate {rate:g} meant? For this model {upper:g} is the most that is usual."
    context = read_json(base / "config.json").get("max_position_embeddings")
    if isinstance(context, int) and settings.max_length > context:
        yield f"Is max_length {settings.max_length} meant? This model sees {context} tokens at once."
