"""Conversations as other programs keep them, as transcripts whose ids are the same every time."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

from phichat.history.log import heading
from phichat.history.tree import Transcript
from phichat.history.values import Conversation, StoredMessage

_NAMESPACE = uuid.UUID("6f0b7c52-3f0e-5d3b-9a53-0f5f6c1d2e77")
_ROLES = {
    "developer": "system",
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}
"""What others call the roles."""


class Reader:
    """Reads the records of one file.

    Ids and times come from the content and from when the file was made: the same file again has
    the same conversations. A record that is in the file twice is two conversations.
    """

    def __init__(self, project: str, made: float) -> None:
        self._project = project
        self._made = made
        self._seen: Counter[str] = Counter()

    def transcript(self, record: Mapping[str, Any]) -> Transcript:
        """The conversation of a record with `messages` as OpenAI has them, or `conversations` as ShareGPT.

        Raises:
            ValueError: it has neither, or something in it is no text.
        """
        turns = turns_of(record)
        name = self._name(turns)
        created, title = record.get("created"), record.get("title")
        created = created if isinstance(created, float) else self._made
        system = turns.pop(0)["content"] if turns and turns[0]["role"] == "system" else ""
        messages: list[StoredMessage] = []
        for turn in turns:
            messages.append(
                StoredMessage(
                    id=str(uuid.uuid5(name, str(len(messages)))),
                    conversation_id=str(name),
                    parent_id=messages[-1].id if messages else None,
                    created=created + len(messages) / 1000,  # so that their order is told by time as well
                    **turn,
                )
            )
        if not messages:
            raise ValueError("it has no messages")
        conversation = Conversation(
            id=str(name),
            title=title if isinstance(title, str) and title else heading(messages[0].content),
            project=self._project,
            system=system,
            created=created,
            updated=messages[-1].created,
            revised=0,  # whatever a person decides about it here holds when the file is read again
            leaf=messages[-1].id,
        )
        return Transcript(conversation, tuple(messages))

    def _name(self, turns: list[dict[str, Any]]) -> uuid.UUID:
        content = hashlib.sha256(json.dumps([self._project, turns]).encode()).hexdigest()
        self._seen[content] += 1
        return uuid.uuid5(_NAMESPACE, f"{content} {self._seen[content]}")


def turns_of(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The turns of an OpenAI or ShareGPT record as fields of `StoredMessage`."""
    if isinstance(record.get("messages"), list):
        return [_turn(item, "role", "content") for item in record["messages"]]
    if isinstance(record.get("conversations"), list):
        return [_turn(item, "from", "value") for item in record["conversations"]]
    raise ValueError('it has neither "messages" nor "conversations"')


def _turn(item: Any, role_key: str, text_key: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ValueError("a message is not an object")
    role = item.get(role_key)
    if role not in ("system", "user", "assistant", *_ROLES):
        raise ValueError(f"the role {role!r} is none of system, user and assistant")
    kept = {name: item[name] for name in ("state", "model") if name in item}
    return {"role": _ROLES.get(role, role), "content": _text(item.get(text_key)), **kept}


def _text(content: Any) -> str:
    """The text of a message: itself, or that of its parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, dict) and part.get("type") == "text" for part in content
    ):
        return "".join(_text(part.get("text")) for part in content)
    raise ValueError("a message has something that is no text")
