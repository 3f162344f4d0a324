"""What the engine is asked and what it gives back: options, usage, errors. Importing it loads nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypedDict

FinishReason = Literal["stop", "length", "cancelled"]


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class Options:
    """How to answer."""

    max_tokens: int | None = None
    """None: as many as fit the context."""
    temperature: float = 0.0
    """0 is greedy: the most probable token every time."""
    top_p: float = 1.0
    """Sample among the most probable tokens that have this probability together."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""
    continue_final: bool = False
    """Go on with the last message, a partial answer, instead of starting a new one."""
    overflow: Literal["error", "drop_oldest"] = "error"
    """What to do with a conversation longer than the context."""


@dataclass(frozen=True)
class Usage:
    """What an answer cost and why it ended."""

    prompt_tokens: int
    completion_tokens: int
    """Tokens that the model chose, the one that ended the answer included."""
    finish_reason: FinishReason
    dropped_messages: int
    context: int
    """Tokens that the model can see at once, here."""
    template_sha256: str = ""
    """Names the chat template in which the model was shown the conversation."""


class EngineError(Exception):
    """Something that a person should read: one sentence."""


class ModelError(EngineError):
    """This folder cannot be served."""


class ConversationError(EngineError):
    """This model's chat template does not take these messages."""


class ContextError(EngineError):
    """The conversation is longer than the context."""

    def __init__(self, prompt_tokens: int, context: int) -> None:
        super().__init__(
            f"The conversation is {prompt_tokens:,} tokens long, but the context holds {context:,} "
            "together with the answer."
        )
        self.prompt_tokens = prompt_tokens
        self.context = context


Deliver = Callable[[str | Usage | EngineError], None]
"""Takes the pieces of an answer, then exactly one `Usage` or error; called from the engine's thread."""
