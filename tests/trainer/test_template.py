"""The chat template: what is rendered, what ends an answer, and what is dropped from a long conversation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import ChatTemplate, fit
from contract import ContextError, ConversationError, Message, ModelError
from tests import tiny
from tests.trainer.answers import assistant, system, user

CHATML = (
    "{% for message in messages %}<s>{{ message['role'] }}\n{{ message['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny.build_tokenizer()


@pytest.fixture(scope="module")
def template(tokenizer: Any) -> ChatTemplate:
    return ChatTemplate(tokenizer)


def test_the_whole_conversation_is_rendered(template: ChatTemplate, tokenizer: Any) -> None:
    messages = [system("Be kind."), user("Hi"), assistant("Hello"), user("Who are you?")]
    assert tokenizer.decode(template.encode(messages)) == (
        "<|system|>\nBe kind.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n"
        "<|user|>\nWho are you?<|end|>\n<|assistant|>\n"
    )


def test_no_system_message_is_invented(template: ChatTemplate, tokenizer: Any) -> None:
    assert tokenizer.decode(template.encode([user("Hi")])) == "<|user|>\nHi<|end|>\n<|assistant|>\n"


def test_a_partial_answer_is_left_open(template: ChatTemplate, tokenizer: Any) -> None:
    tokens = template.encode([user("Hi"), assistant("Hello, I")], continue_final=True)
    assert tokenizer.decode(tokens) == "<|user|>\nHi<|end|>\n<|assistant|>\nHello, I"


def test_the_template_names_its_end_of_turn(template: ChatTemplate, tokenizer: Any) -> None:
    end, eos = tokenizer.convert_tokens_to_ids(["<|end|>", "<|endoftext|>"])
    assert template.stop_tokens() == {end, eos}
    assert template.stop_tokens(17, [18, 19], None) == {end, eos, 17, 18, 19}


def test_the_end_of_turn_of_another_template() -> None:
    tokenizer = tiny.build_tokenizer()
    tokenizer.chat_template = CHATML
    assert tokenizer.convert_tokens_to_ids("</s>") in ChatTemplate(tokenizer).stop_tokens()


def test_a_template_without_an_end_of_turn(tokenizer: Any) -> None:
    tokenizer = tiny.build_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    assert ChatTemplate(tokenizer).stop_tokens() == {tokenizer.eos_token_id}


def test_what_the_template_refuses_is_said() -> None:
    tokenizer = tiny.build_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('Only one turn, please.') }}"
    with pytest.raises(ConversationError, match=r"refuses this conversation: Only one turn, please\."):
        ChatTemplate(tokenizer).encode([user("Hi")])


def test_a_tokenizer_without_a_template_is_refused() -> None:
    tokenizer = tiny.build_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="not a chat model"):
        ChatTemplate(tokenizer)


def test_limits_that_a_trainer_left_are_lifted() -> None:
    tokenizer = tiny.build_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=99)
    assert len(ChatTemplate(tokenizer).encode([user("Who founded Microsoft?")])) not in (4, 99)


def chat(turns: int) -> list[Message]:
    """A system message, then questions and answers; the last question has no answer."""
    messages = [system("Be kind.")]
    for turn in range(turns):
        messages += [user(f"Question {turn}: who founded Microsoft?"), assistant(f"Answer {turn}.")]
    return messages[:-1]


def test_what_fits_is_left_alone(template: ChatTemplate) -> None:
    messages = chat(3)
    kept = fit(template, messages, context=1000, room=100, continue_final=False)
    assert kept == (template.encode(messages), 0)


def test_the_oldest_turns_go(template: ChatTemplate) -> None:
    messages = chat(12)
    tokens, dropped = fit(template, messages, context=200, room=50, continue_final=False)
    assert tokens == template.encode([messages[0], *messages[1 + dropped :]])
    assert 0 < len(tokens) <= 150
    assert messages[1 + dropped]["role"] == "user"


def test_the_next_turns_drop_the_same(template: ChatTemplate) -> None:
    """Otherwise nothing that has been read could be used again."""
    dropped = [
        fit(template, chat(turns), context=400, room=50, continue_final=False)[1] for turns in range(12, 24)
    ]
    assert sorted(dropped) == dropped
    assert 2 < len(set(dropped)) <= 5


def test_the_system_message_and_the_last_question_stay(template: ChatTemplate) -> None:
    messages = chat(30)
    tokens, dropped = fit(template, messages, context=60, room=30, continue_final=False)
    assert tokens == template.encode([messages[0], messages[-1]])
    assert dropped == len(messages) - 2


def test_a_partial_answer_stays_with_its_question(template: ChatTemplate) -> None:
    messages = [*chat(30), assistant("Bill")]
    tokens, dropped = fit(template, messages, context=60, room=30, continue_final=True)
    assert tokens == template.encode([messages[0], *messages[-2:]], continue_final=True)
    assert dropped == len(messages) - 3


def test_a_question_that_does_not_fit_is_an_error_with_the_numbers(template: ChatTemplate) -> None:
    messages = [*chat(3), assistant("Yes."), user("Who founded Microsoft? " * 20)]
    tokens = len(template.encode([messages[0], messages[-1]]))
    with pytest.raises(ContextError, match=f"{tokens} tokens long, but the context holds 50 ") as caught:
        fit(template, messages, context=50, room=10, continue_final=False)
    assert (caught.value.prompt_tokens, caught.value.context) == (tokens, 50)
    with pytest.raises(ContextError):
        fit(template, messages, context=tokens, room=10, continue_final=False)


@given(turns=st.integers(1, 20), context=st.integers(20, 400), share=st.floats(0, 1))
def test_what_is_kept_always_fits(template: ChatTemplate, turns: int, context: int, share: float) -> None:
    messages, room = chat(turns), int(context / 4 * share)
    try:
        tokens, dropped = fit(template, messages, context=context, room=room, continue_final=False)
    except ContextError as error:
        assert error.prompt_tokens == len(template.encode([messages[0], messages[-1]])) >= context
        return
    assert len(tokens) < context
    assert tokens == template.encode([messages[0], *messages[1 + dropped :]])
    if len(tokens) > context - room:
        assert dropped == len(messages) - 2
