"""Answers to many conversations at once: for probes, evaluation and MLflow, where nobody waits for words.

Imports nothing of its neighbours: it travels inside a saved model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Messages = Sequence[dict[str, str]]


def answers(
    model: Any,
    tokenizer: Any,
    conversations: Sequence[Messages],
    *,
    ends: Iterable[int],
    max_new_tokens: int,
    batch_size: int = 16,
    tell: Callable[[int], None] | None = None,
    **sampling: Any,
) -> list[str]:
    """What the model says next in each conversation; greedy unless `sampling` says otherwise.

    `ends` are the tokens that end an answer; `tell` gets the number of answers after each batch;
    `sampling` is passed to `generate`.
    """
    prompts = [_prompt(tokenizer, messages) for messages in conversations]
    # Those of a length together: a batch is padded to its longest.
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    texts = [""] * len(prompts)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        said = _batch(model, tokenizer, [prompts[at] for at in batch], sorted(ends), max_new_tokens, sampling)
        for at, text in zip(batch, said, strict=True):
            texts[at] = text
        if tell is not None:
            tell(start + len(batch))
    return texts


def _prompt(tokenizer: Any, messages: Messages) -> list[int]:
    text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    tokens: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return tokens


def _batch(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[list[int]],
    ends: list[int],
    max_new_tokens: int,
    sampling: dict[str, Any],
) -> list[str]:
    import torch

    longest = max(map(len, prompts))
    # Padded on the left, so that every answer begins at the same place. Which token pads does not matter: it
    # is masked.
    ids = torch.tensor([[ends[0]] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    with torch.no_grad():
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=max_new_tokens,
            eos_token_id=ends,
            pad_token_id=ends[0],
            **(sampling or {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}),
        )
    return [_text(tokenizer, row[longest:], ends) for row in output.tolist()]


def _text(tokenizer: Any, tokens: list[int], ends: list[int]) -> str:
    length = next((at for at, token in enumerate(tokens) if token in ends), len(tokens))
    text: str = tokenizer.decode(tokens[:length], skip_special_tokens=True)
    return text.strip()
