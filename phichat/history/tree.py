"""A conversation with all its messages, and the ways through its tree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from phichat.backends.base import Message
from phichat.errors import NotFoundError
from phichat.history.values import Conversation, StoredMessage


@dataclass(frozen=True)
class Transcript:
    """A conversation and every message of it, on whatever branch.

    Messages are ordered by when they were made; `Conversation.leaf` says which branch is shown.
    """

    conversation: Conversation
    messages: tuple[StoredMessage, ...] = ()
    _by_id: dict[str, StoredMessage] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {message.id: message for message in self.messages})

    def message(self, message_id: str) -> StoredMessage:
        """One message by its id.

        Raises:
            NotFoundError: it is not in this conversation.
        """
        found = self._by_id.get(message_id)
        if found is None:
            raise NotFoundError(f"The conversation {self.conversation.id} has no message {message_id!r}.")
        return found

    def branch(self, leaf: str | None = None) -> list[StoredMessage]:
        """The messages from the first to `leaf`, or to the one that the conversation shows."""
        return self._up_from(leaf or self.conversation.leaf)

    def versions(self, message_id: str) -> list[StoredMessage]:
        """The message and its siblings, oldest first."""
        parent_id = self.message(message_id).parent_id
        return [message for message in self.messages if message.parent_id == parent_id]

    def leaf_through(self, message_id: str) -> str:
        """The end of the branch that goes through a message and, after it, on by the newest ones."""
        newest = {message.parent_id: message.id for message in self.messages}
        leaf = self.message(message_id).id
        while leaf in newest:
            leaf = newest[leaf]
        return leaf

    def prompt(self, leaf: str | None = None) -> list[Message]:
        """What to show a model: the system prompt and the branch, without answers that have no text."""
        return prompt(self.conversation, self.branch(leaf))

    def having(self, message: StoredMessage) -> Transcript:
        """The same with a message added and its branch shown; or, where it was there, as it is now."""
        if message.id in self._by_id:
            kept = tuple(message if old.id == message.id else old for old in self.messages)
            return Transcript(self.conversation, kept)
        shown = self.conversation.model_copy(update={"leaf": message.id, "updated": message.created})
        return Transcript(shown, (*self.messages, message))

    def _up_from(self, leaf: str | None) -> list[StoredMessage]:
        path: list[StoredMessage] = []
        while leaf is not None and len(path) <= len(self._by_id):
            message = self.message(leaf)
            path.append(message)
            leaf = message.parent_id
        return path[::-1]


def prompt(conversation: Conversation, branch: Iterable[StoredMessage]) -> list[Message]:
    """What to show a model: the system prompt and the branch, without answers that have no text."""
    system = [Message(role="system", content=conversation.system)] if conversation.system else []
    turns = [
        Message(role=message.role, content=message.content)
        for message in branch
        if message.content or message.role != "assistant"
    ]
    return system + turns


def merge(ours: Transcript, theirs: Transcript) -> Transcript:
    """Two copies of one conversation as one that holds all of both.

    It does not matter which copy is whose or how often they meet: merging is commutative,
    associative and idempotent, so any number of machines end with the same conversation.
    """
    messages = {message.id: message for message in ours.messages}
    for message in theirs.messages:
        known = messages.get(message.id)
        messages[message.id] = max(known, message, key=_completeness) if known else message
    return Transcript(
        _merge_conversations(ours.conversation, theirs.conversation),
        tuple(sorted(messages.values(), key=lambda message: (message.created, message.id))),
    )


def _merge_conversations(ours: Conversation, theirs: Conversation) -> Conversation:
    """What a person decided last about title and deletion, and the branch of the latest message."""
    decided = max(ours, theirs, key=_decision)
    active = max(ours, theirs, key=lambda conversation: (conversation.updated, conversation.leaf or ""))
    # Somebody who had not heard of the deletion talked on: what they said is not in the bin.
    deleted = decided.deleted if (decided.deleted or 0) >= active.updated else None
    return decided.model_copy(update={"updated": active.updated, "leaf": active.leaf, "deleted": deleted})


def _completeness(message: StoredMessage) -> tuple[bool, int, str]:
    """Finished beats being written, longer beats shorter; the rest only breaks ties."""
    return message.state != "partial", len(message.content), message.model_dump_json()


def _decision(conversation: Conversation) -> tuple[float, str, float]:
    """The later decision holds; the rest only breaks ties, on every machine alike."""
    told = conversation.model_dump_json(exclude={"updated", "leaf", "deleted"})
    return conversation.revised, told, conversation.deleted or 0
