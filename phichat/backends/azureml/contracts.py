"""What endpoints that others have made take and give: the bodies, and how an answer is read.

Sources: MLflow's no-code server, tried (azureml-inference-server-http 1.5.1 with Microsoft's scoring script);
the containers of the model catalogue, as published (foundation-model-inference); OpenAI's chat completions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from phichat.backends.base import ChatOptions, Message, Value

Kind = Literal["openai", "mlflow", "catalogue", "catalogue-text"]
"""The catalogue's containers take messages where they are made for chats, else texts, in one envelope."""
NAMES = {
    "openai": "the OpenAI protocol",
    "mlflow": "MLflow's input_data",
    "catalogue": "the catalogue's input_string",
    "catalogue-text": "the catalogue's input_string",
}
SAY = "Hi"
MARKS = re.compile(r"<\|[^|<>]*\|>|</?s>")
"""Special tokens of chat templates; a tokenizer that skips them leaves the text between them."""


class Contract(Value):
    """How an endpoint is asked."""

    kind: Kind
    url: str
    model: str = ""
    """What an OpenAI server calls its model."""
    about: str = ""
    """Names the deployment's content: another content may have another contract."""


def probe(model: str = "") -> dict[str, Any]:
    """A question of one token that OpenAI's servers and MLflow's both take: each ignores the other's part."""
    messages = [{"role": "user", "content": SAY}]
    own = {"model": model, "messages": messages, "max_tokens": 1}
    return {**own, "input_data": [SAY], "params": {"max_new_tokens": 1}}


def envelope(said: Sequence[Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """The catalogue's body."""
    return {"input_data": {"input_string": list(said), "parameters": parameters}}


def body(kind: Kind, messages: Sequence[Message], prompt: str, options: ChatOptions) -> dict[str, Any]:
    """The question for a contract that gives whole answers; `prompt`: the conversation as one text."""
    parameters: dict[str, Any] = {"max_new_tokens": options.max_new_tokens, "return_full_text": False}
    if options.temperature:
        parameters |= {
            "do_sample": True,
            "temperature": options.temperature,
            "top_p": options.top_p,
        }
    else:
        parameters["do_sample"] = False
    if kind == "mlflow":
        return {"input_data": [prompt], "params": parameters}
    said = [prompt] if kind == "catalogue-text" else [message.model_dump() for message in messages]
    return envelope(said, parameters)


def spoken(answer: Any) -> Kind | None:
    """The contract that an answer is of; None: of none."""
    match unwrapped(answer):
        case {"choices": [*_]}:
            return "openai"
        case {"output": str()}:
            return "catalogue"
        case [{"0": str()}, *_]:
            return "catalogue-text"
        case [str(), *_]:
            return "mlflow"
    return None


def text_of(answer: Any, prompt: str, options: ChatOptions) -> str:
    """The answer's text, without an echo of the prompt, up to the first text that ends it.

    Raises:
        LookupError: there is none.
    """
    match unwrapped(answer):
        case {"output": str(text)} | [{"0": str(text)}, *_] | [str(text), *_]:
            pass
        case _:
            raise LookupError("no text in the answer")
    text = without_echo(text, prompt)
    ends = [at for stop in options.stop if (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def without_echo(text: str, prompt: str) -> str:
    """An answer without the prompt that a server put before it, its special tokens skipped or not."""
    if not prompt:
        return text
    if text.startswith(prompt):
        return text[len(prompt) :]
    plain = MARKS.sub("", prompt)
    # What a tokenizer makes of a text may have other blanks between the words.
    words = [re.escape(word) for word in plain.split()]
    found = re.match(r"\s*" + r"\s*".join(words) + r"\s*", text) if words else None
    return text[found.end() :] if found else text


def unwrapped(answer: Any) -> Any:
    """An answer whose server has written JSON into a JSON text."""
    if isinstance(answer, str) and answer.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(answer)
        except ValueError:
            return answer
    return answer
