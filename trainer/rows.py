"""The rows that are trained on: read, tokenized, packed, and told about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conversations import Conversation, read
from failures import TrainError
from jobevents import Events
from masking import Example, Masker

if TYPE_CHECKING:
    import datasets  # type: ignore[import-untyped]

TELL_EVERY = 1000
"""Rows between two events of progress."""


@dataclass
class Rows:
    """A file in tokens, and what became of it."""

    examples: list[dict[str, Any]]
    """`input_ids` and `labels` as arrays of 32-bit integers."""
    tokens: int = 0
    learned: int = 0
    """Tokens that the loss is taken on."""
    cut: int = 0
    """Rows that were longer than they may be."""
    dropped: int = 0
    """Rows of which nothing to learn was left when they were cut."""


def tokenize(path: Path, masker: Masker, max_length: int, events: Events) -> Rows:
    """All rows of a file as tokens; what is cut or dropped is said.

    Raises:
        TrainError: a row is wrong, or nothing is left to learn.
    """
    rows = Rows([])
    number = 0
    for example in masker.examples(_told(path, events), max_length):
        number += 1
        rows.cut += example.cut
        if example.learned:
            rows.examples.append(_arrays(example))
            rows.tokens += len(example.ids)
            rows.learned += example.learned
        else:
            rows.dropped += 1
    events.progress("tokenizing", number, number, "rows")
    if rows.cut:
        events.log(
            f"{path.name}: {rows.cut} rows are longer than max_length ({max_length}) and were cut off"
            + (f"; {rows.dropped} of them were left out, nothing to learn was left." if rows.dropped else ".")
        )
    if not rows.examples:
        raise TrainError(f"{path}: no row has anything to learn within max_length ({max_length}). Raise it.")
    return rows


def dataset(rows: Rows, pack_to: int | None = None, seed: int = 0) -> datasets.Dataset:
    """The rows as SFTTrainer takes them; packed to `pack_to` tokens if given, each blind to the others."""
    import datasets
    from trl.data_utils import pack_dataset

    made = datasets.Dataset.from_list(rows.examples)
    if pack_to is None:
        return made
    # In another order first: rows that are packed together should have nothing to do with each other.
    made = made.shuffle(seed=seed, keep_in_memory=True)
    return pack_dataset(made, pack_to, "bfd", {"keep_in_memory": True})


def _told(path: Path, events: Events) -> Iterator[Conversation]:
    for number, conversation in enumerate(read(path)):
        if number and number % TELL_EVERY == 0:
            events.progress("tokenizing", number, None, "rows")
        yield conversation


def _arrays(example: Example) -> dict[str, Any]:
    import numpy as np

    return {
        "input_ids": np.asarray(example.ids, np.int32),
        "labels": np.asarray(example.labels, np.int32),
    }
