"""An answer as it comes from a backend, and the whole of it with what it cost."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from phichat.backends.base import ChatOptions, Deployment, Message, Usage
from phichat.config import Config
from phichat.events import Piece, Reply

FLOW = Deployment(id="flow server")
"""The project's flow server as a deployment to chat with; no backend has one with a space in its name."""


class Chat(Protocol):
    """Answers messages, as `Project.chat` does."""

    def __call__(
        self,
        messages: Sequence[Message],
        options: ChatOptions | None = None,
        deployment: Deployment | None = None,
        *,
        system: str | None = None,
    ) -> AsyncGenerator[Piece | Reply, None]: ...


def chat_options(config: Config, **changes: Any) -> ChatOptions:
    """How to answer, as configured under `[chat]`, with changes."""
    names = ("max_new_tokens", "temperature", "top_p", "seed")
    configured = {name: getattr(config.chat, name) for name in names}
    return ChatOptions(**{**configured, **changes})


def with_system(messages: Sequence[Message], system: str) -> list[Message]:
    """The messages after a system prompt, unless they bring one of their own or there is none."""
    if system and not (messages and messages[0].role == "system"):
        return [Message(role="system", content=system), *messages]
    return list(messages)


async def timed(
    parts: AsyncGenerator[str | Usage, None], asked: float
) -> AsyncGenerator[Piece | Reply, None]:
    """The pieces, then the reply; `asked` is when the question was put, by `time.monotonic`."""
    first = 0.0
    pieces: list[str] = []
    usage = Usage(prompt_tokens=0, completion_tokens=0, finish_reason="stop")
    async for part in parts:
        if isinstance(part, Usage):
            usage = part
            continue
        first = first or time.monotonic()
        pieces.append(part)
        yield Piece(text=part)
    ended = time.monotonic()
    yield _reply("".join(pieces), usage, (first or ended) - asked, ended - (first or ended))


def _reply(text: str, usage: Usage, ttft: float, took: float) -> Reply:
    # The first token is what the time to it is about.
    rest = usage.completion_tokens - 1
    return Reply(
        text=text,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        finish_reason=usage.finish_reason,
        dropped_messages=usage.dropped_messages,
        context=usage.context,
        template_sha256=usage.template_sha256,
        ttft_s=round(ttft, 4),
        tokens_per_s=round(rest / took, 2) if took > 0 and rest > 0 else 0.0,
    )
