"""The engine: answers side by side, stopped at any moment, with what was read before, under a cap."""

from __future__ import annotations

import functools
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from contract import ContextError, ConversationError, EngineError, Message, ModelError, Options, Usage
from engine import Engine
from tests import tiny
from tests.trainer import answers
from tests.trainer.answers import DEADLINE, Asked, Reference, ask, assistant, system, user

QUESTION = "Who founded Microsoft?"
BYTES_PER_TOKEN = 2 * 2 * 2 * 16 * 4
"""Of the tiny model: keys and values, layers, heads, width, bytes of a float."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Larger weights than usual: what the model says must depend on all that it has read.
    return tiny.build(tmp_path_factory.mktemp("tiny"), initializer_range=0.3)


@pytest.fixture(scope="module")
def reference(folder: Path) -> Reference:
    return Reference(folder)


@pytest.fixture
def make(folder: Path) -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def make(model: Path = folder, blocks: int | None = None, **options: Any) -> Engine:
        if blocks is not None:
            options["cache_bytes"] = blocks * 256 * BYTES_PER_TOKEN
        engines.append(Engine(model, device="cpu", **options))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close(DEADLINE)


@pytest.fixture
def engine(make: Callable[..., Engine]) -> Engine:
    return make()


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return answers.endless(tmp_path_factory.mktemp("endless"))


def words(count: int, start: int = 0) -> str:
    """A text of about so many tokens that has nothing in common with one of another start."""
    return " ".join(f"{number}" for number in range(100 + start, 100 + start + count // 4))


# What it answers


def test_greedy_is_what_generate_says(engine: Engine, reference: Reference) -> None:
    answer = ask(engine, QUESTION, max_tokens=40)
    assert answer.tokens == reference.answer([user(QUESTION)], 40)
    assert answer.text == reference.tokenizer.decode(answer.tokens, skip_special_tokens=True).rstrip("\ufffd")


def test_usage(engine: Engine, reference: Reference) -> None:
    usage = ask(engine, QUESTION, max_tokens=3).usage
    prompt = len(reference.render([user(QUESTION)]))
    template = hashlib.sha256(reference.tokenizer.chat_template.encode()).hexdigest()
    assert usage == Usage(prompt, 3, "length", dropped_messages=0, context=1024, template_sha256=template)


def test_every_stop_token_ends_the_answer(
    tmp_path: Path, make: Callable[..., Engine], reference: Reference
) -> None:
    """Whatever is said third is made a token that ends; the text before it is all that is shown."""
    from transformers import GenerationConfig

    first, second, third = reference.answer([user(QUESTION)], 3)
    folder = tiny.build(tmp_path, initializer_range=0.3)
    GenerationConfig(eos_token_id=[3, third]).save_pretrained(folder)  # type: ignore[no-untyped-call]
    answer = ask(make(folder), QUESTION, max_tokens=50)
    assert answer.tokens == [first, second, third]
    assert answer.usage.finish_reason == "stop"
    assert answer.usage.completion_tokens == 3
    assert answer.text == reference.tokenizer.decode([first, second]).rstrip("\ufffd")


def test_stop_strings(engine: Engine) -> None:
    whole = ask(engine, QUESTION, max_tokens=60)
    stop = whole.text[len(whole.text) // 2 :][:3]
    answer = ask(engine, QUESTION, max_tokens=60, stop=("never", stop))
    assert answer.text == whole.text[: whole.text.index(stop)]
    assert answer.usage.finish_reason == "stop"
    assert answer.usage.completion_tokens < whole.usage.completion_tokens


def test_the_same_seed_says_the_same(engine: Engine) -> None:
    def said(seed: int | None) -> list[int]:
        return ask(engine, QUESTION, max_tokens=20, temperature=1.0, seed=seed).tokens

    assert said(1) == said(1) != said(2)
    assert said(None) != said(None)


def test_a_tiny_nucleus_is_greedy(engine: Engine) -> None:
    greedy = ask(engine, QUESTION, max_tokens=20).tokens
    assert ask(engine, QUESTION, max_tokens=20, temperature=1.5, top_p=1e-6).tokens == greedy
    assert ask(engine, QUESTION, max_tokens=20, temperature=1e-6).tokens == greedy


def test_a_continued_answer_goes_on(engine: Engine, reference: Reference) -> None:
    begun = [user(QUESTION), assistant("Bill Gates and")]
    answer = ask(engine, begun, max_tokens=10, continue_final=True)
    prompt = [*reference.render([user(QUESTION)]), *reference.tokenizer.encode("Bill Gates and")]
    assert answer.tokens == reference.continued(prompt, 10)
    assert answer.usage.prompt_tokens == len(prompt)


def test_stream_gives_pieces_then_usage(engine: Engine) -> None:
    *pieces, usage = engine.stream([user(QUESTION)], Options(max_tokens=20))
    assert "".join(map(str, pieces)) == ask(engine, QUESTION, max_tokens=20).text
    assert isinstance(usage, Usage)


# What it refuses


def test_no_messages(engine: Engine) -> None:
    with pytest.raises(ConversationError, match="no messages"):
        ask(engine, [])


def test_only_an_answer_can_be_continued(engine: Engine) -> None:
    with pytest.raises(ConversationError, match="not the assistant's"):
        ask(engine, QUESTION, continue_final=True)


def test_too_long_a_conversation(engine: Engine, reference: Reference) -> None:
    conversation = [user(words(2000))]
    tokens = len(reference.render(conversation))
    with pytest.raises(ContextError, match=f"{tokens:,} tokens long, but the context holds 1,024"):
        ask(engine, conversation)


def test_a_conversation_that_leaves_no_room_for_an_answer(
    make: Callable[..., Engine], reference: Reference
) -> None:
    engine = make(blocks=1)
    question = [user(words(200))]
    while len(reference.render(question)) < 256:
        question[0]["content"] += "~"
    with pytest.raises(ContextError, match="256 tokens long, but the context holds 256"):
        ask(engine, question)
    question[0]["content"] = question[0]["content"][:-1]
    assert ask(engine, question).usage.completion_tokens == 1


def test_the_oldest_turns_can_be_dropped(engine: Engine, reference: Reference) -> None:
    conversation: list[Message] = [system("Be kind.")]
    for turn in range(10):
        conversation += [user(words(200, start=turn)), assistant("Yes.")]
    conversation.append(user(QUESTION))
    answer = ask(engine, conversation, max_tokens=20, overflow="drop_oldest")
    dropped = answer.usage.dropped_messages
    kept = [conversation[0], *conversation[1 + dropped :]]
    assert 0 < dropped < len(conversation) - 2
    assert answer.usage.prompt_tokens == len(reference.render(kept)) <= 1024 - 20
    assert answer.tokens == reference.answer(kept, 20)


def test_an_answer_ends_with_the_context(engine: Engine) -> None:
    usage = ask(engine, [user(words(900))], temperature=1.0, seed=0, max_tokens=5000).usage
    assert usage.finish_reason in ("length", "stop")
    assert usage.prompt_tokens + usage.completion_tokens <= 1024


# Reading once


def test_a_long_conversation_says_the_same_as_read_afresh(engine: Engine, reference: Reference) -> None:
    conversation: list[Message] = []
    for turn in range(6):
        conversation.append(user(words(60, start=turn)))
        answer = ask(engine, conversation, max_tokens=12)
        assert answer.tokens == reference.answer(conversation, 12)
        conversation.append(assistant(answer.text))


def test_the_history_is_read_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    forward = engine._model._forward

    def counting(network: Any, held: Any, tokens: Any, **options: Any) -> Any:
        read.append(len(tokens))
        return forward(network, held, tokens, **options)

    monkeypatch.setattr(engine._model, "_forward", counting)
    conversation = [user(words(400))]
    answer = ask(engine, conversation, max_tokens=5)
    read.clear()
    again = ask(engine, [*conversation, assistant(answer.text), user(QUESTION)], max_tokens=1)
    assert sum(read) < 60 < again.usage.prompt_tokens


def test_regenerating_reads_nothing_again(engine: Engine) -> None:
    conversation = [user(words(400))]
    assert ask(engine, conversation, max_tokens=9).tokens == ask(engine, conversation, max_tokens=9).tokens
    assert sum(len(held.tokens) for held in engine._pool._idle) < 500


# Side by side


def test_answers_interleave(make: Callable[..., Engine], endless: Path) -> None:
    engine = make(endless)
    log: list[str] = []
    done = threading.Semaphore(0)

    def deliver(name: str, item: object) -> None:
        log.append(name)
        if isinstance(item, Usage):
            done.release()

    for name in ("a", "b"):
        engine.chat([user(QUESTION)], Options(max_tokens=100), functools.partial(deliver, name))
    assert done.acquire(timeout=DEADLINE)
    assert done.acquire(timeout=DEADLINE)
    runs = [len([*group]) for _, group in itertools.groupby(log)]
    assert len(runs) > len(log) / 4
    assert max(runs) < len(log) / 4


def test_a_question_is_answered_while_a_long_prompt_is_read(
    make: Callable[..., Engine], tmp_path: Path
) -> None:
    folder = tiny.build(tmp_path, max_position_embeddings=40_000)
    engine = make(folder)
    long = Asked(engine, [user(words(30_000))], Options(max_tokens=1))
    short = Asked(engine, [user(QUESTION)], Options(max_tokens=3))
    assert short.rest().usage.completion_tokens == 3
    assert not long.generation.completion_tokens
    long.generation.cancel()
    assert long.rest().usage.finish_reason == "cancelled"


def test_more_conversations_than_there_is_room_for(make: Callable[..., Engine], reference: Reference) -> None:
    """They take turns, some of them are put back, and each answer is what it is alone."""
    engine = make(blocks=3)
    conversations = [[user(words(150, start=start))] for start in range(5)]
    asked = [Asked(engine, conversation, Options(max_tokens=150)) for conversation in conversations]
    for conversation, one in zip(conversations, asked, strict=True):
        assert one.rest().tokens == reference.answer(conversation, 150)
        assert engine._pool.tokens <= engine._pool.capacity == 3 * 256


def test_who_came_first_ends_first(make: Callable[..., Engine], endless: Path) -> None:
    """The second has to make room for the first, and still comes before the third, which never began."""
    engine = make(endless, blocks=3)
    ended: list[str] = []
    done = threading.Semaphore(0)

    def deliver(name: str, item: object) -> None:
        if isinstance(item, Usage):
            ended.append(name)
            done.release()

    for start, name in enumerate(("first", "second", "third")):
        question = [user(words(150, start=start))]
        engine.chat(question, Options(max_tokens=200), functools.partial(deliver, name))
    for _ in range(3):
        assert done.acquire(timeout=DEADLINE)
    assert ended == ["first", "second", "third"]


def test_many_threads_ask_at_once(engine: Engine) -> None:
    """A tokenizer that one thread changes while another reads it raises "Already borrowed"."""
    alone = ask(engine, QUESTION, max_tokens=6).tokens
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda _: ask(engine, QUESTION, max_tokens=6).tokens, range(40)))
    assert together == [alone] * 40


# Stopping


def test_cancel_keeps_the_partial_answer(make: Callable[..., Engine], endless: Path) -> None:
    engine = make(endless)
    asked = Asked(engine, [user(QUESTION)], Options())
    first = asked.next()
    asked.generation.cancel()
    answer = asked.rest()
    assert isinstance(first, str)
    assert answer.usage.finish_reason == "cancelled"
    assert 0 < answer.usage.completion_tokens < 900


def test_cancel_in_the_middle_of_a_prompt(make: Callable[..., Engine], tmp_path: Path) -> None:
    engine = make(tiny.build(tmp_path, max_position_embeddings=40_000))
    asked = Asked(engine, [user(words(30_000))], Options())
    asked.generation.cancel()
    usage = asked.rest().usage
    assert (usage.finish_reason, usage.completion_tokens) == ("cancelled", 0)


def test_cancel_while_waiting_for_room(make: Callable[..., Engine], endless: Path) -> None:
    engine = make(endless, blocks=2)
    first = Asked(engine, [user(words(300))], Options())
    first.next()
    second = Asked(engine, [user(words(300, start=1))], Options())
    second.generation.cancel()
    assert second.rest().usage.finish_reason == "cancelled"
    first.generation.cancel()
    assert first.rest().usage.finish_reason == "cancelled"


def test_closing_the_stream_stops_the_model(make: Callable[..., Engine], endless: Path) -> None:
    engine = make(endless)
    stream = engine.stream([user(QUESTION)], Options())
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert ask(engine, QUESTION, max_tokens=1).usage.completion_tokens == 1
    assert not engine._active


def test_a_listener_that_is_gone_stops_its_answer_only(make: Callable[..., Engine], endless: Path) -> None:
    engine = make(endless)
    called = threading.Event()

    def gone(item: object) -> None:
        called.set()
        raise RuntimeError("the event loop is closed")

    generation = engine.chat([user(QUESTION)], Options(), gone)
    assert called.wait(DEADLINE)
    assert ask(engine, QUESTION, max_tokens=5).usage.completion_tokens == 5
    assert generation.cancelled


def test_closing_the_engine_ends_every_answer(make: Callable[..., Engine], endless: Path) -> None:
    engine = make(endless, blocks=2)
    asked = [Asked(engine, [user(words(300, start=start))], Options()) for start in range(3)]
    asked[0].next()
    engine.close(DEADLINE)
    assert [one.rest().usage.finish_reason for one in asked] == ["cancelled"] * 3
    with pytest.raises(EngineError, match="being stopped"):
        ask(engine, QUESTION)


# Going wrong


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:75] . DefaultCPUAllocator: can't allocate memory"),
            "memory",
        ),
        (torch.OutOfMemoryError("CUDA out of memory."), "not enough memory"),
        (ValueError("a strange thing\nwith details"), "The answer failed: a strange thing"),
    ],
)
def test_a_failure_ends_one_answer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched, pytest.raises(EngineError, match=said):
        patched.setattr(engine._model, "next", fail)
        ask(engine, QUESTION)
    assert ask(engine, QUESTION, max_tokens=5).usage.completion_tokens == 5


def test_what_was_read_in_a_failure_is_not_used(engine: Engine, reference: Reference) -> None:
    """Some layers have keys of tokens that others have not."""
    question = [user(words(40))]
    ask(engine, question, max_tokens=2)
    last = engine._model._network.model.layers[-1]

    def fail(*_: object) -> None:
        hook.remove()
        raise ValueError("a strange thing")

    hook = last.register_forward_pre_hook(fail)
    with pytest.raises(EngineError, match="a strange thing"):
        ask(engine, question, max_tokens=8)
    assert ask(engine, question, max_tokens=8).tokens == reference.answer(question, 8)


def test_weights_that_are_not_numbers_are_said(engine: Engine) -> None:
    with torch.no_grad():
        weight = engine._model._network.lm_head.weight
        before = weight.clone()
        weight.fill_(float("nan"))
    with pytest.raises(EngineError, match="not numbers"):
        ask(engine, QUESTION)
    with torch.no_grad():
        weight.copy_(before)
    assert ask(engine, QUESTION, max_tokens=5).usage.completion_tokens == 5


def test_a_cap_that_is_too_small_is_said(make: Callable[..., Engine]) -> None:
    with pytest.raises(ModelError, match=r"too small: this model needs at least 131,072\."):
        make(cache_bytes=1000)


def test_the_cap_limits_the_context(make: Callable[..., Engine]) -> None:
    engine = make(blocks=2)
    assert engine.context == 512
    with pytest.raises(ContextError, match="holds 512"):
        ask(engine, [user(words(600))])
    usage = ask(engine, [user(words(400))], max_tokens=1000, temperature=1.0, seed=0).usage
    assert usage.prompt_tokens + usage.completion_tokens <= 512
