"""The JSON of the server: OpenAI's chat completions, and the `input_data` form of Azure ML's endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from contract import Message, Options, Usage

ROLES = ("system", "user", "assistant")
TEMPERATURE = 0.7
"""What is sampled with when the request does not say."""
UNSUPPORTED: Mapping[str, Sequence[Any]] = {
    "n": (1,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
}
"""Fields that this server cannot honour, with the values that ask for nothing; ignoring them misleads."""


class RequestError(Exception):
    """The request is wrong: one sentence that names the field."""


@dataclass(frozen=True)
class Question:
    """A conversation to answer."""

    messages: list[Message]
    options: Options
    stream: bool = False
    include_usage: bool = False


@dataclass(frozen=True)
class Batch:
    """Several questions whose answers are wanted as a plain list of texts."""

    questions: list[Question]
    prefixes: list[str]
    """What stands before each answer: the prompt itself where `return_full_text` asked for it, or nothing."""


def parse_chat(body: object) -> Question:
    """What a body of `/v1/chat/completions` asks.

    Raises:
        RequestError: a field is missing, has the wrong type, or asks for what cannot be done.
    """
    fields = _Fields(_object(body, "The request's body"))
    fields.refuse_unsupported()
    stream_options = _object(fields.get("stream_options", {}), "`stream_options`")
    include_usage = _Fields(stream_options).flag("include_usage")
    limit = fields.integer("max_completion_tokens", fields.integer("max_tokens", None, least=1), least=1)
    options = Options(
        max_tokens=limit,
        temperature=fields.number("temperature", TEMPERATURE, 0, 2),
        top_p=fields.number("top_p", 1.0, 0, 1),
        seed=fields.integer("seed", None),
        stop=fields.texts("stop"),
        continue_final=fields.flag("continue_final"),
        overflow=cast("Literal['error', 'drop_oldest']", fields.choice("overflow", ("error", "drop_oldest"))),
    )
    return Question(_messages(fields.get("messages", None)), options, fields.flag("stream"), include_usage)


def parse_score(body: object) -> Question | Batch:
    """What a body of `/score` asks: OpenAI's, or `{"input_data": …, "params": {…}}`.

    `input_data` is a list of questions, a list of messages (one conversation), a list of such lists, or one
    question. `params` are those of a transformers pipeline: `do_sample` false, or missing together with
    `temperature`, means greedy. `return_full_text` true puts a question that is plain text before its answer.

    Raises:
        RequestError: a field is missing or wrong.
    """
    fields = _Fields(_object(body, "The request's body"))
    if "messages" in fields:
        return parse_chat(body)
    data = fields.get("input_data", None)
    if data is None:
        raise RequestError("The request has neither `messages` nor `input_data`.")
    params = _Fields(_object(fields.get("params", {}), "`params`"))
    options = _pipeline_options(params)
    conversations, prefixes = [], []
    for item in _conversations(data):
        plain = isinstance(item, str)
        conversations.append(_messages([{"role": "user", "content": item}] if plain else item))
        prefixes.append(item if plain and params.flag("return_full_text") else "")
    return Batch([Question(conversation, options) for conversation in conversations], prefixes)


def completion(identity: Mapping[str, Any], text: str, usage: Usage) -> dict[str, Any]:
    """The whole answer."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": usage.finish_reason,
        "logprobs": None,
    }
    return {**identity, "object": "chat.completion", "choices": [choice], **_spent(usage)}


def chunk(identity: Mapping[str, Any], delta: Mapping[str, str], reason: str | None = None) -> dict[str, Any]:
    """One piece of a streamed answer; the last one has the reason why it ended."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    return {**identity, "object": "chat.completion.chunk", "choices": [choice]}


def usage_chunk(identity: Mapping[str, Any], usage: Usage) -> dict[str, Any]:
    """What a streamed answer cost, after its last piece."""
    return {**identity, "object": "chat.completion.chunk", "choices": [], **_spent(usage)}


def problem(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's form."""
    return {"error": {"message": message, "type": kind, "code": code, "param": None}}


def _spent(usage: Usage) -> dict[str, Any]:
    return {
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
        "phichat": {
            "dropped_messages": usage.dropped_messages,
            "context": usage.context,
            "template_sha256": usage.template_sha256,
        },
    }


def _pipeline_options(params: _Fields) -> Options:
    sampled = params.flag("do_sample", "temperature" in params)
    return Options(
        max_tokens=params.integer("max_new_tokens", None, least=1),
        temperature=params.number("temperature", TEMPERATURE, 0, 2) if sampled else 0.0,
        top_p=params.number("top_p", 1.0, 0, 1),
        seed=params.integer("seed", None),
        stop=params.texts("stop"),
    )


def _conversations(data: object) -> list[Any]:
    if isinstance(data, str):
        return [data]
    if not isinstance(data, list) or not data:
        raise RequestError("`input_data` must be a list of questions or of messages, and not empty.")
    if all(isinstance(item, Mapping) for item in data):
        return [data]
    if not all(isinstance(item, (str, list)) for item in data):
        raise RequestError(
            "`input_data` must hold questions, or messages, or lists of messages, not a mixture."
        )
    return data


def _messages(value: object) -> list[Message]:
    if not isinstance(value, list):
        raise RequestError("`messages` must be a list of messages.")
    if not value:
        raise RequestError("`messages` is empty: there is nothing to answer.")
    return [_message(item, f"`messages[{at}]`") for at, item in enumerate(value)]


def _message(value: object, where: str) -> Message:
    fields = _object(value, where)
    role = fields.get("role")
    if role not in ROLES:
        raise RequestError(f"The role of {where} is {role!r}; it must be one of {', '.join(ROLES)}.")
    content = fields.get("content")
    if isinstance(content, list):
        content = "".join(_part(part, where) for part in content)
    if not isinstance(content, str):
        raise RequestError(f"The content of {where} must be text.")
    return {"role": role, "content": _readable(content, where)}


def _part(value: object, where: str) -> str:
    part = _object(value, f"Each part of {where}")
    if part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise RequestError(f"The content of {where} has a part that is not text; this model reads text only.")
    text: str = part["text"]
    return text


def _readable(text: str, where: str) -> str:
    """JSON can hold half characters, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(f"The content of {where} has a broken character at {error.start}.") from error
    return text


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RequestError(f"{what} must be a JSON object.")
    return value


class _Fields:
    """The fields of one JSON object; null is the same as missing, as in OpenAI's own API."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = {name: value for name, value in fields.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def get(self, name: str, default: object) -> Any:
        return self._fields.get(name, default)

    def refuse_unsupported(self) -> None:
        for name, harmless in UNSUPPORTED.items():
            if name in self and self._fields[name] not in harmless:
                raise RequestError(f"`{name}` is not supported by this server.")

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.get(name, default)
        if not isinstance(value, bool):
            raise RequestError(f"`{name}` must be true or false.")
        return value

    def integer(self, name: str, default: int | None, least: int | None = None) -> int | None:
        value = self.get(name, default)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
            raise RequestError(f"`{name}` must be a whole number.")
        if least is not None and value < least:
            raise RequestError(f"`{name}` must be at least {least}.")
        return value

    def number(self, name: str, default: float, least: float, most: float) -> float:
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise RequestError(f"`{name}` must be a number from {least} to {most}.")
        return float(value)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        value = self.get(name, choices[0])
        if value not in choices:
            raise RequestError(f"`{name}` must be one of {', '.join(choices)}.")
        return cast("str", value)

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.get(name, [])
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
            raise RequestError(f"`{name}` must be a text or a list of texts, none of them empty.")
        return tuple(texts)
