"""A real model: SmolLM2 answers, remembers, and its server says what transformers says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine
from tests.trainer.answers import Reference, ask, assistant, user

QUESTION = "Who founded Microsoft?"


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> Iterator[Engine]:
    engine = Engine(smollm2, device="cpu", threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def reference(smollm2: Path) -> Reference:
    return Reference(smollm2)


def test_it_knows_something(engine: Engine) -> None:
    answer = ask(engine, QUESTION, max_tokens=40)
    assert "Bill Gates" in answer.text
    assert answer.usage.context == 8192


def test_it_ends_by_itself(engine: Engine) -> None:
    answer = ask(engine, "Say only the word: yes", max_tokens=40)
    assert answer.usage.finish_reason == "stop"
    assert "<|im_end|>" not in answer.text


def test_the_second_turn_is_as_read_afresh(engine: Engine, reference: Reference) -> None:
    first = ask(engine, QUESTION, max_tokens=12)
    assert first.tokens == reference.answer([user(QUESTION)], 12)
    conversation = [user(QUESTION), assistant(first.text), user("When was that?")]
    assert ask(engine, conversation, max_tokens=12).tokens == reference.answer(conversation, 12)


def test_characters_of_many_tokens(engine: Engine, reference: Reference) -> None:
    answer = ask(engine, "Write a haiku with emoji 🙂", max_tokens=12)
    assert answer.text == reference.tokenizer.decode(answer.tokens, skip_special_tokens=True).rstrip("\ufffd")
    assert not any("\ufffd" in piece for piece in answer.pieces)
    assert any(ord(character) > 0xFFFF for character in answer.text)
