"""Conversations and messages as rows of the SQLite store."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from phichat.backends.base import ChatOptions, Usage, Value
from phichat.history.values import Conversation, StoredMessage, known_options

CONVERSATION = ("id", "project", "title", "system", "created", "updated", "revised", "leaf", "deleted")
CONVERSATION_COLUMNS = ", ".join("p.folder" if name == "project" else f"c.{name}" for name in CONVERSATION)
"""What to select from `conversations AS c` and `projects AS p` for `conversation_from`."""

_PLACE = ("id", "parent_id")
_OUTCOME = (
    "state", "backend", "deployment", "model", "template_hash", "options", "usage", "ttft_s", "tokens_per_s",
    "detail", "content",
)  # fmt: skip
MESSAGE = (*_PLACE, "role", "created", *_OUTCOME)
MESSAGE_COLUMNS = ", ".join("parent" if name == "parent_id" else name for name in MESSAGE)
"""What to select from `messages` for `message_from`."""
OUTCOME_ASSIGNMENTS = ", ".join(f"{name} = :{name}" for name in _OUTCOME)
"""What an answer that is finished changes, as assignments of the parameters of `parameters`."""

T = TypeVar("T")


def conversation_from(row: Sequence[Any] | None) -> Conversation:
    """The conversation of a row of `CONVERSATION_COLUMNS`."""
    return _read(lambda: Conversation.model_validate(dict(zip(CONVERSATION, row or (), strict=True))))


def message_from(row: Sequence[Any], conversation_id: str) -> StoredMessage:
    """The message of a row of `MESSAGE_COLUMNS`."""

    def read() -> StoredMessage:
        fields = dict(zip(MESSAGE, row, strict=True))
        fields["conversation_id"] = conversation_id
        fields["options"] = _options(fields["options"])
        fields["usage"] = fields["usage"] and Usage.model_validate_json(fields["usage"])
        return StoredMessage.model_validate(fields)

    return _read(read)


def parameters(message: StoredMessage) -> dict[str, Any]:
    """The message as parameters named like its fields."""
    fields = {name: getattr(message, name) for name in MESSAGE}
    fields["options"] = _json(message.options)
    fields["usage"] = _json(message.usage)
    return fields


@functools.lru_cache(maxsize=64)  # the answers of a conversation nearly always have the same ones
def _options(text: str | None) -> ChatOptions | None:
    return ChatOptions.model_validate(known_options(json.loads(text))) if text else None


def _json(value: Value | ChatOptions | None) -> str | None:
    return value.model_dump_json() if value else None


def _read(make: Callable[[], T]) -> T:
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise sqlite3.DatabaseError("phichat cannot have written this row") from error
