"""Chat through a flow server, whichever engine it runs on."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from phichat.backends.base import Message, Usage
from phichat.backends.openai import client, lines, refusal
from phichat.errors import BackendError, UnavailableError
from phichat.flowrunner.rows import asked_last

if TYPE_CHECKING:
    import httpx

BROKE_OFF = "\n[The answer broke off"
"""How the last piece begins where the answer is no whole one: a stream has no other place to say it."""


async def stream_flow(url: str, messages: Sequence[Message]) -> AsyncGenerator[str | Usage, None]:
    """The answer piece by piece, then a `Usage` without counts; closing the generator ends the request.

    Raises:
        UnavailableError: nobody answers, or the answer broke off.
        BackendError: the flow refused the question; its sentence is the message.
    """
    import httpx

    headers = {"Accept": "text/event-stream, application/json"}
    try:
        async with (
            client(url) as http,
            http.stream("POST", f"{url}/score", json=body(messages), headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise await refusal(response)
            empty = True
            async for piece in _pieces(response):
                empty = False
                yield piece
            if empty:
                raise UnavailableError("The flow gave no answer, and no reason.", "Look at its log.")
    except httpx.TransportError as error:
        raise UnavailableError(
            f"The flow at {url} cannot be reached: {error}.", "phichat flow serve"
        ) from error
    except (ValueError, LookupError, TypeError) as error:
        raise BackendError(f"{url} is no flow of ours: {error!r}.") from error
    yield Usage(prompt_tokens=0, completion_tokens=0, finish_reason="stop")


def body(messages: Sequence[Message]) -> dict[str, Any]:
    """A conversation as a flow is asked: its last message is the question.

    Raises:
        BackendError: its messages do not alternate between user and assistant.
    """
    said = [(message.role, message.content) for message in messages]
    try:
        question, history = asked_last([(str(role), text) for role, text in said])
    except ValueError as error:
        raise BackendError("A flow takes questions and answers in turn, and a question last.") from error
    return {"question": question, "chat_history": history}


async def _pieces(response: httpx.Response) -> AsyncIterator[str]:
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        yield json.loads(await response.aread())["answer"]
        return
    async for line in lines(response):
        if not line.startswith("data:"):
            continue
        piece = json.loads(line.removeprefix("data:")).get("answer", "")
        if piece.startswith(BROKE_OFF):
            raise UnavailableError(piece.strip("\n[]"), "Ask again.")
        yield piece
