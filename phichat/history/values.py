"""What a history holds: conversations, their messages, and what a search finds in them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat

from phichat.backends.base import ChatOptions, Usage, Value
from phichat.history.ids import new_id

Role = Literal["system", "user", "assistant"]
MessageState = Literal["complete", "partial", "stopped", "failed"]
"""`partial`: still being written, or whoever wrote it died; `stopped`: a person ended it."""


def storable(text: str) -> str:
    """The text with U+FFFD in place of what no file can hold: the lone surrogates of undecodable input."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Text = Annotated[str, AfterValidator(storable)]


def known_options(value: Any) -> Any:
    """Options as another version stored them, without those that this one does not know."""
    if isinstance(value, Mapping):
        return {key: value[key] for key in value if key in ChatOptions.model_fields}
    return value


class Conversation(Value):
    """A conversation without its messages. Times are seconds since the epoch."""

    id: str = Field(default_factory=new_id)
    title: Text = ""
    project: Text = ""
    """The folder of the project it was held in, or empty; it never changes."""
    system: Text = ""
    """The system prompt, or empty."""
    created: FiniteFloat = Field(default_factory=time.time)
    updated: FiniteFloat = Field(default_factory=lambda known: float(known["created"]))
    """When its latest message was added; lists are ordered by it."""
    revised: FiniteFloat = Field(default_factory=lambda known: float(known["created"]))
    """When a person last renamed it, deleted it or brought it back: of two copies the later one holds."""
    leaf: str | None = None
    """The last message of the branch that is shown."""
    deleted: FiniteFloat | None = None
    """When it was deleted; it can be brought back until it is purged."""


class StoredMessage(Value):
    """One message, at its place in the tree of its conversation.

    Messages with one parent are versions of each other: edits of a question, or several answers to it.
    """

    id: str = Field(default_factory=new_id)
    conversation_id: str
    parent_id: str | None = None
    """The message it follows; None: it begins the conversation."""
    role: Role
    content: Text = ""
    state: MessageState = "complete"
    created: FiniteFloat = Field(default_factory=time.time)
    backend: str = ""
    deployment: str = ""
    model: str = ""
    template_hash: str = ""
    """Names the chat template that the model was shown the conversation in, where it is known."""
    options: Annotated[ChatOptions | None, BeforeValidator(known_options)] = None
    usage: Usage | None = None
    ttft_s: FiniteFloat | None = None
    """Seconds from the question to the first piece of the answer."""
    tokens_per_s: FiniteFloat | None = None
    """Completion tokens a second after the first piece."""
    detail: Text = ""
    """Why it failed; of a system message in the middle what it is (see `notes`)."""


class Page(NamedTuple):
    """Some conversations of a list, and how to ask for those that follow."""

    conversations: list[Conversation]
    cursor: str | None
    """What to pass for the next page; None: this was the last."""


class Snippet(NamedTuple):
    """A short part of a text on one line, and where in it the searched words are."""

    text: str
    marks: tuple[tuple[int, int], ...]
    """Start and end of each match, as positions in `text`."""


class Hit(NamedTuple):
    """One place where a search found something."""

    conversation: Conversation
    snippet: Snippet
    message_id: str | None = None
    """The message that matches, on whatever branch it is; None: the title does."""


class Merged(NamedTuple):
    """How many conversations a merge brought: new here, changed here, or known already."""

    added: int
    changed: int
    known: int


class Sync(NamedTuple):
    """Whether a history that lies elsewhere has all that was said here, and the other way round."""

    state: Literal["local", "synced", "syncing", "behind"] = "local"
    """`local`: it lies nowhere else; `behind`: what was said last is only on this machine, or only there."""
    pending: int = 0
    """Conversations of which something is not there yet."""
    at: float | None = None
    """When both were last the same; None: never since this machine knows of it."""
    detail: str = ""
    """Why it is behind, in a sentence."""
