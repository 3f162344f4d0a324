"""Answers of an engine, and what transformers itself answers to the same."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from contract import EngineError, Message, Options, Usage
from engine import Engine
from generation import Generation
from tests import tiny

DEADLINE = 60
"""Seconds after which an answer that does not come is a failure."""


@dataclass(frozen=True)
class Answer:
    """A whole answer: its pieces, its tokens (the one that ended it included), and its usage."""

    pieces: list[str]
    tokens: list[int]
    usage: Usage

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Asked:
    """An answer that is being made: its items as they come."""

    def __init__(self, engine: Engine, messages: Sequence[Message], options: Options) -> None:
        self.items: queue.SimpleQueue[str | Usage | EngineError] = queue.SimpleQueue()
        self.generation: Generation = engine.chat(messages, options, self.items.put)

    def next(self) -> str | Usage | EngineError:
        return self.items.get(timeout=DEADLINE)

    def rest(self) -> Answer:
        """Wait for the end."""
        pieces = []
        while isinstance(item := self.next(), str):
            pieces.append(item)
        if isinstance(item, EngineError):
            raise item
        return Answer(pieces, self.generation.tokens[item.prompt_tokens :], item)


def ask(engine: Engine, messages: Sequence[Message] | str, **options: Any) -> Answer:
    """The whole answer to a conversation, or to one question."""
    conversation = [user(messages)] if isinstance(messages, str) else messages
    return Asked(engine, conversation, Options(**options)).rest()


def endless(folder: Path, **overrides: Any) -> Path:
    """A tiny model whose greedy answers never end: the tokens that could end them have no chance."""
    from safetensors.torch import load_file, save_file

    tiny.build(folder, initializer_range=0.3, **overrides)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][: len(tiny.SPECIAL_TOKENS)] = 0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def system(text: str) -> Message:
    return {"role": "system", "content": text}


class Reference:
    """The same folder in the hands of transformers: it reads everything anew for each answer."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def render(self, messages: Sequence[Message]) -> list[int]:
        rendered = self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_tensors="pt"
        )
        ids: list[int] = rendered["input_ids"][0].tolist()
        return ids

    def continued(self, prompt: Sequence[int], tokens: int) -> list[int]:
        """The greedy tokens behind a prompt."""
        ids = torch.tensor([list(prompt)])
        with torch.inference_mode():
            out = self.model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False
            )
        answer: list[int] = out[0, len(prompt) :].tolist()
        return answer

    def answer(self, messages: Sequence[Message], tokens: int) -> list[int]:
        return self.continued(self.render(messages), tokens)
