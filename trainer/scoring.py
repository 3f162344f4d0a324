"""How well a model knows conversations, and how close its answers come to the ones it should give."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from masking import IGNORED, Example

POSITIONS = 1024
"""Learned tokens of one batch: each costs a row of logits as long as the vocabulary."""


@dataclass
class Score:
    """What a model makes of the tokens that it should say."""

    nll: float = 0.0
    """Negative log-likelihood of all of them, in nats."""
    tokens: int = 0
    right: int = 0
    """Tokens that are the model's first choice."""

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood of a token."""
        return self.nll / self.tokens

    @property
    def perplexity(self) -> float:
        """The exponential of the loss: among how many tokens the model hesitates."""
        return math.exp(min(self.loss, 700.0))

    @property
    def accuracy(self) -> float:
        """Share of the tokens that are the model's first choice."""
        return self.right / self.tokens


def score(model: Any, examples: Sequence[Example], batch_size: int) -> Score:
    """Score the learned tokens of the examples."""
    import torch

    total = Score()
    with torch.no_grad():
        for batch in _batches(examples, batch_size):
            _add(total, model, batch)
    return total


def normalized(text: str) -> str:
    """Without case, punctuation, articles and needless spaces, as SQuAD compares (arXiv:1606.05250)."""
    text = text.casefold().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(answer: str, reference: str) -> bool:
    """Whether both say the same."""
    return normalized(answer) == normalized(reference)


def f1(answer: str, reference: str) -> float:
    """How many words both share: the harmonic mean of precision and recall (arXiv:1606.05250)."""
    said, meant = normalized(answer).split(), normalized(reference).split()
    shared = sum((Counter(said) & Counter(meant)).values())
    if not shared:
        return float(said == meant)
    return 2 * shared / (len(said) + len(meant))


def _batches(examples: Sequence[Example], size: int) -> Iterator[list[Example]]:
    batch: list[Example] = []
    for example in sorted(examples, key=lambda example: len(example.ids)):
        if batch and (len(batch) == size or (len(batch) + 1) * len(example.ids) > POSITIONS):
            yield batch
            batch = []
        batch.append(example)
    if batch:
        yield batch


def _add(total: Score, model: Any, batch: Sequence[Example]) -> None:
    import torch

    longest = max(len(example.ids) for example in batch)

    def padded(values: Sequence[list[int]], filling: int) -> Any:
        rows = [row + [filling] * (longest - len(row)) for row in values]
        return torch.tensor(rows, device=model.device)

    ids = padded([example.ids for example in batch], 0)
    mask = padded([[1] * len(example.ids) for example in batch], 0)
    targets = padded([[*example.labels[1:], IGNORED] for example in batch], IGNORED)
    asked = (targets != IGNORED).any(dim=0).nonzero().flatten()
    logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=asked, use_cache=False).logits.float()
    targets = targets[:, asked]
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    total.nll += float(loss)
    total.tokens += int((targets != IGNORED).sum())
    total.right += int((logits.argmax(dim=-1) == targets).sum())
