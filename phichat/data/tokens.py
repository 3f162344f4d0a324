"""Rows in tokens: counted in batches on every core, with the model's own tokenizer and template."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.backends.base import Value
from phichat.data.conversation import Conversation
from phichat.data.template import ChatTemplate
from phichat.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BARS = 32
"""The most bars that a histogram has."""
BATCH = 128


class Histogram(Value):
    """How many rows have how many tokens."""

    width: int
    """Tokens that one bar stands for; bar n counts the rows from n * width to just below the next."""
    bars: tuple[int, ...]
    total: int
    """Tokens of all rows."""
    median: int
    p95: int
    """95 of 100 rows have no more."""
    longest: int


def histogram(lengths: Sequence[int]) -> Histogram:
    """The distribution of at least one length."""
    ordered = sorted(lengths)
    width = _nice(ordered[-1] // BARS + 1)
    bars = [0] * (ordered[-1] // width + 1)
    for length in ordered:
        bars[length // width] += 1
    return Histogram(
        width=width,
        bars=tuple(bars),
        total=sum(ordered),
        median=ordered[(len(ordered) - 1) // 2],
        p95=ordered[(len(ordered) - 1) * 95 // 100],
        longest=ordered[-1],
    )


def _nice(least: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50, …"""
    power = 1
    while True:
        for step in (1, 2, 5):
            if step * power >= least:
                return step * power
        power *= 10


class TokenCounter:
    """Counts the tokens of whole conversations."""

    def __init__(self, folder: Path, template: ChatTemplate) -> None:
        # The library is silent about its threads only if this is said before it starts them.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            told = "The package tokenizers, which counts tokens, is not installed."
            raise DataError(told, "pip install 'phichat[data]'") from error
        self._template = template
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # What the file may say about padding and cutting would falsify the count.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def count(self, rows: Iterable[Conversation]) -> Iterator[int]:
        """The number of tokens of each row, in order.

        While the tokenizer, which needs no Python, works on one batch, the next one is rendered.
        """
        rows = iter(rows)
        with ThreadPoolExecutor(1) as thread:
            running = None
            while texts := [self._template.render(row.messages) for row in islice(rows, BATCH)]:
                following = thread.submit(self._encode, texts)
                if running is not None:
                    yield from running.result()
                running = following
            if running is not None:
                yield from running.result()

    def _encode(self, texts: list[str]) -> list[int]:
        return [len(each) for each in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
