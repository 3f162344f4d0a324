"""What requests ask, and what is said to those that are wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import Options, Usage
from protocol import (
    Batch,
    Question,
    RequestError,
    completion,
    parse_chat,
    parse_score,
    usage_chunk,
)
from tests.trainer.answers import assistant, system, user

HI = [{"role": "user", "content": "Hi"}]


def test_a_bare_question() -> None:
    assert parse_chat({"messages": HI}) == Question([user("Hi")], Options(temperature=0.7))


def test_every_field() -> None:
    body = {
        "model": "whatever",
        "messages": [system("Be kind."), user("Hi"), assistant("He")],
        "max_tokens": 5,
        "temperature": 0,
        "top_p": 0.5,
        "seed": -3,
        "stop": "END",
        "stream": True,
        "stream_options": {"include_usage": True},
        "continue_final": True,
        "overflow": "drop_oldest",
        "user": "somebody",
        "n": 1,
    }
    assert parse_chat(body) == Question(
        [system("Be kind."), user("Hi"), assistant("He")],
        Options(5, 0.0, 0.5, -3, ("END",), continue_final=True, overflow="drop_oldest"),
        stream=True,
        include_usage=True,
    )


def test_null_is_the_same_as_missing() -> None:
    fields = ("max_tokens", "temperature", "top_p", "seed", "stop", "stream", "stream_options", "tools", "n")
    assert parse_chat({"messages": HI, **dict.fromkeys(fields)}) == parse_chat({"messages": HI})


def test_the_newer_name_of_the_limit_wins() -> None:
    assert parse_chat({"messages": HI, "max_tokens": 5, "max_completion_tokens": 7}).options.max_tokens == 7


def test_content_in_parts() -> None:
    parts = [{"type": "text", "text": "Hello, "}, {"type": "text", "text": "you"}]
    assert parse_chat({"messages": [{"role": "user", "content": parts}]}).messages == [user("Hello, you")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"messages": None}, "`messages` must be a list of messages."),
        ({"messages": []}, "`messages` is empty: there is nothing to answer."),
        ({"messages": "Hi"}, "`messages` must be a list of messages."),
        ({"messages": ["Hi"]}, "`messages[0]` must be a JSON object."),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "The role of `messages[0]` is 'tool'; it must be one of system, user, assistant.",
        ),
        ({"messages": [*HI, {"role": "user"}]}, "The content of `messages[1]` must be text."),
        ({"messages": [{"role": "user", "content": 3}]}, "The content of `messages[0]` must be text."),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "The content of `messages[0]` has a part that is not text; this model reads text only.",
        ),
        (
            {"messages": [{"role": "user", "content": "a\ud83d"}]},
            "The content of `messages[0]` has a broken character at 1.",
        ),
        ({"n": 2}, "`n` is not supported by this server."),
        ({"tools": [{"type": "function"}]}, "`tools` is not supported by this server."),
        ({"response_format": {"type": "json_object"}}, "`response_format` is not supported by this server."),
        ({"max_tokens": 0}, "`max_tokens` must be at least 1."),
        ({"max_tokens": "5"}, "`max_tokens` must be a whole number."),
        ({"max_tokens": True}, "`max_tokens` must be a whole number."),
        ({"temperature": 2.1}, "`temperature` must be a number from 0 to 2."),
        ({"temperature": float("nan")}, "`temperature` must be a number from 0 to 2."),
        ({"top_p": "all"}, "`top_p` must be a number from 0 to 1."),
        ({"seed": 2**70}, "`seed` must be a whole number."),
        ({"stop": [""]}, "`stop` must be a text or a list of texts, none of them empty."),
        ({"stop": {"a": 1}}, "`stop` must be a text or a list of texts, none of them empty."),
        ({"stream": "yes"}, "`stream` must be true or false."),
        ({"stream_options": []}, "`stream_options` must be a JSON object."),
        ({"overflow": "crash"}, "`overflow` must be one of error, drop_oldest."),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_chat({"messages": HI, **change})
    assert str(caught.value) == said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("messages", "input_data", "params", "max_tokens", "temperature", "top_p", "seed", "stop", "stream")


@given(st.dictionaries(st.sampled_from(NAMES), JSON) | JSON, st.sampled_from([parse_chat, parse_score]))
def test_nothing_else_is_ever_raised(body: object, parse: Any) -> None:
    try:
        parse(body)
    except RequestError as error:
        assert str(error).endswith(".")
        assert "\n" not in str(error)


def texts(data: object, **params: Any) -> tuple[list[list[Any]], list[str]]:
    batch = parse_score({"input_data": data, "params": params})
    assert isinstance(batch, Batch)
    return [question.messages for question in batch.questions], batch.prefixes


def test_score_takes_a_chat_completion() -> None:
    assert parse_score({"messages": HI, "stream": True}) == parse_chat({"messages": HI, "stream": True})


def test_score_takes_questions() -> None:
    assert texts(["One?", "Two?"]) == ([[user("One?")], [user("Two?")]], ["", ""])
    assert texts("One?") == ([[user("One?")]], [""])


def test_score_takes_a_conversation() -> None:
    conversation = [system("Be kind."), user("Hi")]
    assert texts(conversation) == ([conversation], [""])
    assert texts([conversation, HI]) == ([conversation, HI], ["", ""])


def test_the_full_text_of_a_question_is_returned_where_asked_for() -> None:
    assert texts(["One?"], return_full_text=True)[1] == ["One?"]
    assert texts(["One?"], return_full_text=False)[1] == [""]
    assert texts(HI, return_full_text=True)[1] == [""]


@pytest.mark.parametrize(
    ("params", "options"),
    [
        ({}, Options()),
        ({"do_sample": True}, Options(temperature=0.7)),
        ({"do_sample": False, "temperature": 0.9}, Options()),
        ({"temperature": 0.9, "top_p": 0.5, "seed": 1}, Options(temperature=0.9, top_p=0.5, seed=1)),
        ({"max_new_tokens": 128, "stop": ["END"], "num_beams": 1}, Options(max_tokens=128, stop=("END",))),
    ],
)
def test_score_params_are_those_of_a_pipeline(params: dict[str, Any], options: Options) -> None:
    batch = parse_score({"input_data": ["One?"], "params": params})
    assert isinstance(batch, Batch)
    assert batch.questions[0].options == options


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "The request has neither `messages` nor `input_data`."),
        ([], "The request's body must be a JSON object."),
        ({"input_data": []}, "`input_data` must be a list of questions or of messages, and not empty."),
        ({"input_data": {"a": 1}}, "`input_data` must be a list of questions or of messages, and not empty."),
        (
            {"input_data": ["One?", HI[0]]},
            "`input_data` must hold questions, or messages, or lists of messages, not a mixture.",
        ),
        ({"input_data": ["One?"], "params": [1]}, "`params` must be a JSON object."),
        ({"input_data": ["One?"], "params": {"max_new_tokens": 0}}, "`max_new_tokens` must be at least 1."),
    ],
)
def test_what_is_wrong_with_a_score_request(body: object, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_score(body)
    assert str(caught.value) == said


def test_what_it_cost() -> None:
    usage = Usage(10, 5, "stop", dropped_messages=2, context=100, template_sha256="abc")
    cost = {
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        "phichat": {"dropped_messages": 2, "context": 100, "template_sha256": "abc"},
    }
    assert completion({"id": "x"}, "Hello", usage).items() >= cost.items()
    assert usage_chunk({"id": "x"}, usage).items() >= {"choices": [], **cost}.items()
