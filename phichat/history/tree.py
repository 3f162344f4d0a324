"""A conversation with all its messages, and the ways through its tree."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from phichat.backends.base import Message
from phichat.errors import NotFoundError
from phichat.history import prompting
from phichat.history.values import Conversation, StoredMessage


@dataclass(frozen=True)
class Transcript:
    """A conversation and every message of it, on whatever branch.

    Messages are ordered by when they were made; `Conversation.leaf` says which branch is shown.
    """

    conversation: Conversation
    messages: tuple[StoredMessage, ...] = ()

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
        at = leaf or self.conversation.leaf
        path: list[StoredMessage] = []
        while at is not None and len(path) < len(self.messages):
            message = self.message(at)
            path.append(message)
            at = message.parent_id
        return path[::-1]

    def versions(self, message_id: str) -> list[StoredMessage]:
        """The message and its siblings, oldest first."""
        return self._children[self.message(message_id).parent_id]

    def after(self, message_id: str) -> list[StoredMessage]:
        """The messages that follow a message directly, oldest first."""
        return self._children.get(message_id, [])

    def leaf_through(self, message_id: str) -> str:
        """The end of the branch that goes through a message and, after it, on by the newest ones."""
        leaf = self.message(message_id).id
        while leaf in self._children:
            leaf = self._children[leaf][-1].id
        return leaf

    def prompt(self, leaf: str | None = None) -> list[Message]:
        """What to show a model: the system prompt and the branch, without answers that have no text."""
        system = self.conversation.system
        turns = prompting.turns(self.branch(leaf))
        return [Message(role="system", content=system), *turns] if system else turns

    def shown(self, answer_id: str) -> list[Message]:
        """What the model was shown when it wrote an answer, without what did not fit its context.

        Raises:
            NotFoundError: it is not in this conversation.
        """
        answer = self.message(answer_id)
        prompt = self.prompt(answer.parent_id) if answer.parent_id else []
        head = 1 if prompt and prompt[0].role == "system" else 0
        dropped = answer.usage.dropped_messages if answer.usage else 0
        return [*prompt[:head], *prompt[head + dropped :]]

    def having(self, message: StoredMessage) -> Transcript:
        """The same with a message added and its branch shown; or, where it was there, as it is now."""
        if message.id in self._by_id:
            kept = tuple(message if old.id == message.id else old for old in self.messages)
            return Transcript(self.conversation, kept)
        shown = self.conversation.model_copy(update={"leaf": message.id, "updated": message.created})
        return Transcript(shown, (*self.messages, message))

    def check(self) -> None:
        """Whether it can be what it says: one tree, or several, of this conversation's own messages.

        Raises:
            ValueError: it cannot.
        """
        ids = [message.id for message in self.messages]
        if len(set(ids)) != len(ids):
            raise ValueError("two of its messages have one id")
        if any(message.conversation_id != self.conversation.id for message in self.messages):
            raise ValueError("a message of another conversation is in it")
        parents = {message.parent_id for message in self.messages} | {self.conversation.leaf}
        if not parents <= {*ids, None}:
            raise ValueError("a message that it names is not in it")
        reached = self._children.get(None, [])[:]
        for message in reached:  # it grows while it is read
            reached += self._children.get(message.id, [])
        if len(reached) != len(ids):
            raise ValueError("its messages go round in a circle")

    @functools.cached_property
    def _by_id(self) -> dict[str, StoredMessage]:
        return {message.id: message for message in self.messages}

    @functools.cached_property
    def _children(self) -> dict[str | None, list[StoredMessage]]:
        children: dict[str | None, list[StoredMessage]] = {}
        for message in self.messages:
            children.setdefault(message.parent_id, []).append(message)
        return children


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
    return conversation.revised, told, -1 if conversation.deleted is None else conversation.deleted
