"""Conversations and messages as documents: what each is called, and how a long text is divided."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from phichat.errors import HistoryError
from phichat.history.values import Conversation, StoredMessage, known_options, storable

Document = dict[str, Any]
T = TypeVar("T")

PART_LENGTH = 80_000
"""Characters of a document's text. Its JSON, in which a character has at most 12 bytes, stays below 1 MB;
Cosmos DB takes 2."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def document_id(identifier: str) -> str:
    """The id of a document: that of the message or conversation, where Cosmos DB allows its characters."""
    if _PLAIN.fullmatch(identifier):
        return identifier
    return f"~{hashlib.sha256(storable(identifier).encode()).hexdigest()}"


def partition_of(owner: str, conversation_id: str) -> str:
    """The partition of a conversation's messages; the owner's own has the conversations themselves."""
    return f"{owner}/{document_id(conversation_id)}"


def head(conversation: Conversation, owner: str) -> Document:
    """A conversation without its messages, as a document.

    Raises:
        HistoryError: its title and system prompt are too long for one.
    """
    if len(conversation.title) + len(conversation.system) > PART_LENGTH:
        raise HistoryError(
            f"The system prompt of the conversation {conversation.id} is too long for Cosmos DB:"
            f" more than {PART_LENGTH:,} characters.",
            "It stays on this machine.",
        )
    return {
        "id": document_id(conversation.id),
        "partitionKey": owner,
        "kind": "conversation",
        "format": 1,
        "conversation": conversation.model_dump(mode="json"),
    }


def tombstone(conversation_id: str, owner: str) -> Document:
    """What is left of a conversation that was removed for good: other machines have to hear of it."""
    return {
        "id": document_id(conversation_id),
        "partitionKey": owner,
        "kind": "purged",
        "format": 1,
        "conversation": {"id": storable(conversation_id)},
    }


def conversation_from(document: Mapping[str, Any]) -> Conversation:
    """The conversation of a document that `head` made."""
    return _read(document, lambda: Conversation.model_validate(document["conversation"]))


def message_documents(message: StoredMessage, owner: str) -> list[Document]:
    """A message as a document; before it the parts of its text that did not fit into it."""
    partition = partition_of(owner, message.conversation_id)
    text = message.content
    rest = [text[at : at + PART_LENGTH] for at in range(PART_LENGTH, len(text), PART_LENGTH)]
    parts = [_part(message.id, partition, number, each) for number, each in enumerate(rest, 1)]
    fields = message.model_dump(mode="json", exclude={"options"})
    # As text: a number of JSON has 53 bits there, and a seed may have more.
    fields["options"] = message.options.model_dump_json() if message.options else None
    fields["content"] = text[:PART_LENGTH]
    document = {
        "id": document_id(message.id),
        "partitionKey": partition,
        "kind": "message",
        "format": 1,
        "message": fields,
        "parts": [part["id"] for part in parts],
    }
    return [*parts, document]


def message_from(document: Mapping[str, Any], parts: Mapping[str, str]) -> StoredMessage:
    """The message of a document, and the parts of its text by their ids."""

    def read() -> StoredMessage:
        fields = dict(document["message"])
        options = fields.get("options")
        fields["options"] = known_options(json.loads(options)) if options else None
        fields["content"] += "".join(parts[each] for each in document["parts"])
        return StoredMessage.model_validate(fields)

    return _read(document, read)


def messages_from(documents: Iterable[Document]) -> dict[str, tuple[Document, StoredMessage]]:
    """The messages of a partition by their ids, each with its document, oldest first."""
    every = list(documents)
    parts = {each["id"]: each["content"] for each in every if each["kind"] == "part"}
    found = [(each, message_from(each, parts)) for each in every if each["kind"] == "message"]
    found.sort(key=lambda pair: (pair[1].created, pair[1].id))
    return {message.id: (document, message) for document, message in found}


def _part(message_id: str, partition: str, number: int, text: str) -> Document:
    # Named by its content, so that the parts of an older text stay what they are until that is gone.
    name = hashlib.sha256(f"{number} {text}".encode()).hexdigest()[:32]
    return {
        "id": f"{document_id(message_id)}.{name}",
        "partitionKey": partition,
        "kind": "part",
        "format": 1,
        "content": text,
    }


def _read(document: Mapping[str, Any], make: Callable[[], T]) -> T:
    try:
        return make()
    except (KeyError, TypeError, ValueError) as error:
        raise HistoryError(
            f"phichat cannot have written the document {document.get('id')!r} of the history."
        ) from error
