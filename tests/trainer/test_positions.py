"""Phi-3's kinds of attention, sliding window and LongRoPE: the engine's tokens are those of `generate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract import Message, Options
from engine import Engine
from tests import tiny
from tests.trainer.answers import Asked, Reference, ask, assistant, user

WORDS = "The lighthouse keeper counts the ships and the stars. "
KINDS: dict[str, dict[str, Any]] = {
    "full": {},
    "window": {"sliding_window": 40},
    "longrope": {
        "original_max_position_embeddings": 128,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0] * 8,
            "long_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0],
            "original_max_position_embeddings": 128,
        },
    },
}


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Larger weights than usual: what the model says must depend on all that it has read.
    return tiny.build(tmp_path_factory.mktemp(request.param), initializer_range=0.3, **KINDS[request.param])


@pytest.fixture(scope="module")
def reference(folder: Path) -> Reference:
    return Reference(folder)


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    engine = Engine(folder, device="cpu")
    yield engine
    engine.close()


@pytest.mark.parametrize("repeats", [1, 5, 20], ids=["short", "grows over the boundary", "long"])
def test_tokens_are_those_of_generate(engine: Engine, reference: Reference, repeats: int) -> None:
    question = [user(WORDS * repeats)]
    assert ask(engine, question, max_tokens=60).tokens == reference.answer(question, 60)


def test_a_conversation_over_the_boundary(engine: Engine, reference: Reference) -> None:
    conversation: list[Message] = []
    for repeats in (2, 3, 4, 3, 2):
        conversation.append(user(WORDS * repeats))
        answer = ask(engine, conversation, max_tokens=12)
        assert answer.tokens == reference.answer(conversation, 12)
        conversation.append(assistant(answer.text))


def test_going_back_over_the_boundary(engine: Engine, reference: Reference) -> None:
    """A short conversation behind a long one that begins with it: the long one's keys must not be used."""
    short, long = [user(WORDS)], [user(WORDS), assistant(WORDS * 8), user(WORDS * 8)]
    for conversation in (long, short, long, short):
        assert ask(engine, conversation, max_tokens=12).tokens == reference.answer(conversation, 12)


def test_conversations_side_by_side_do_not_disturb_each_other(engine: Engine, reference: Reference) -> None:
    conversations = [[user(WORDS * repeats)] for repeats in (1, 20, 5, 9)]
    asked = [Asked(engine, conversation, Options(max_tokens=40)) for conversation in conversations]
    for conversation, one in zip(conversations, asked, strict=True):
        assert one.rest().tokens == reference.answer(conversation, 40)
