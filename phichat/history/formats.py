"""The formats of conversations: what each is called, and one conversation in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from phichat.backends.base import Message, Value
from phichat.history import markdown, prompting
from phichat.history.tree import Transcript
from phichat.history.values import Conversation, StoredMessage

Format = Literal["jsonl", "markdown", "openai", "sharegpt"]
"""`jsonl` is phichat's own and has everything; the others have the branch that is shown."""

SHAREGPT_ROLES = {"system": "system", "user": "human", "assistant": "gpt"}


class Record(Value):
    """A line of phichat's own format: a conversation with every version of every message."""

    phichat: Literal[1] = 1
    """The version of the format."""
    conversation: Conversation
    messages: tuple[StoredMessage, ...]


def jsonl(transcript: Transcript) -> str:
    """Everything, on one line."""
    record = Record(conversation=transcript.conversation, messages=transcript.messages)
    return record.model_dump_json(exclude_none=True) + "\n"


def transcript(record: Mapping[str, Any]) -> Transcript:
    """The conversation of a line that `jsonl` wrote.

    Raises:
        ValueError: it is of a later version, or what it says of its messages cannot be.
    """
    if record["phichat"] != 1:
        raise ValueError("a newer phichat wrote it")
    read = Record.model_validate(record)
    found = Transcript(read.conversation, read.messages)
    found.check()
    return found


def openai(transcript: Transcript) -> str:
    """`{"messages": [{"role", "content"}, …]}` on one line, as for training; empty if it has no answer."""
    messages = [{"role": turn.role, "content": turn.content} for turn in training_turns(transcript)]
    return _line({"messages": messages}) if messages else ""


def sharegpt(transcript: Transcript) -> str:
    """`{"id", "conversations": [{"from", "value"}, …]}` on one line, as for training; or empty."""
    turns = [
        {"from": SHAREGPT_ROLES[turn.role], "value": turn.content} for turn in training_turns(transcript)
    ]
    return _line({"id": transcript.conversation.id, "conversations": turns}) if turns else ""


def training_turns(transcript: Transcript) -> list[Message]:
    """The turns that a model may learn from: questions with whole answers, and the system prompt.

    An answer that was stopped, failed or never ended would teach the model to break off; it is left
    out with its question, as is a question that nobody answered.
    """
    turns: list[Message] = []
    unanswered: list[Message] = []
    excerpts: list[StoredMessage] = []
    for message in transcript.branch():
        if prompting.is_note(message):
            excerpts.append(message)
            continue
        if message.role != "assistant":
            unanswered += prompting.turns([*excerpts, message], summaries=False)
            excerpts = []
            continue
        turn = Message(role=message.role, content=message.content)
        if message.state == "complete" and message.content.strip():
            turns += [*unanswered, turn]
        unanswered = []
    system = transcript.conversation.system
    return [Message(role="system", content=system), *turns] if system and turns else turns


RENDER: dict[Format, Callable[[Transcript], str]] = {
    "jsonl": jsonl,
    "markdown": markdown.render,
    "openai": openai,
    "sharegpt": sharegpt,
}
"""How each format writes one conversation; those of several follow each other in one file."""


def _line(value: dict[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
