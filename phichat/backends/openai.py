"""Chat with any endpoint that speaks the OpenAI protocol, local or remote."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from phichat.backends.base import Access, ChatOptions, Message, Usage
from phichat.errors import AuthError, BackendError, NotFoundError, QuotaError, UnavailableError

if TYPE_CHECKING:
    import httpx

Refused = Callable[["httpx.Response"], Awaitable[BackendError]]
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0
"""How long a server may say nothing: reading a long conversation on a slow processor takes minutes."""


async def stream_chat(
    access: Access,
    messages: Sequence[Message],
    options: ChatOptions,
    *,
    url: str = "",
    headers: Mapping[str, str] | None = None,
    refused: Refused | None = None,
) -> AsyncGenerator[str | Usage, None]:
    """The answer piece by piece, then one `Usage`; closing the generator ends the request.

    A service with another address, more headers or refusals of its own says so.

    Raises:
        AuthError: the key is wrong.
        NotFoundError: nothing answers at that address.
        UnavailableError: nobody answers, too many ask, or the answer broke off.
        BackendError: the server refused the request; its sentence is the message.
    """
    import httpx

    url = url or f"{access.base_url.rstrip('/')}/chat/completions"
    own = {"Authorization": f"Bearer {access.key}", "Accept": "text/event-stream, application/json"}
    sent = {**own, **(headers or {})}
    try:
        async with (
            client(access.base_url) as http,
            http.stream("POST", url, json=_body(access, messages, options), headers=sent) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise await (refused or refusal)(response)
            async for part in _parts(response):
                yield part
    except httpx.TimeoutException as error:
        raise UnavailableError(f"{_host(url)} did not answer in time.", "Try again.") from error
    except httpx.TransportError as error:
        raise UnavailableError(f"{_host(url)} cannot be reached: {error}.") from error
    except (ValueError, LookupError, TypeError) as error:
        raise BackendError(f"{_host(url)} does not speak the OpenAI protocol: {error!r}.") from error


def client(base_url: str) -> httpx.AsyncClient:
    """An HTTP client for an endpoint; requests to this machine never go through a proxy."""
    import httpx

    here = urlsplit(base_url).hostname in ("127.0.0.1", "::1", "localhost")
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    # A certificate store takes 20 ms to load and plain HTTP on this machine needs none.
    return httpx.AsyncClient(timeout=timeout, trust_env=not here, verify=urlsplit(base_url).scheme == "https")


async def refusal(response: httpx.Response) -> BackendError:
    """The error that an HTTP answer other than 200 stands for, in the server's own words where it has any."""
    text = (await response.aread()).decode("utf-8", errors="replace")
    message = sentence(text) or f"{_host(str(response.url))} answered {response.status_code}."
    if "context_length_exceeded" in text:  # the protocol's own name for it, whoever serves
        return BackendError(message, "Ask with less text: edit the question, or cut it into parts.")
    return error_of(response.status_code, message)


def error_of(status: int, message: str) -> BackendError:
    """The error that an HTTP status stands for."""
    match status:
        case 401 | 403:
            return AuthError(message, "The key was refused; deploy again or check who you are signed in as.")
        case 404:
            return NotFoundError(message)
        case 408 | 429 | 502 | 503 | 504:
            return UnavailableError(message, "Try again in a moment.")
        case 507:
            return QuotaError(message)
        case _:
            return BackendError(message)


async def lines(response: httpx.Response) -> AsyncIterator[str]:
    """The lines as they come; httpx's own also end at characters that may stand inside a JSON text."""
    rest = b""
    async for part in response.aiter_bytes():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.decode()
    yield rest.decode()


def _body(access: Access, messages: Sequence[Message], options: ChatOptions) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": access.model,
        "messages": [message.model_dump() for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": options.max_new_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
    }
    if options.seed is not None:
        body["seed"] = options.seed
    if options.stop:
        body["stop"] = list(options.stop)
    # Not of the protocol: sent only where asked for, so that other servers do not refuse the request.
    if options.continue_final:
        body["continue_final"] = True
    if options.overflow != "error":
        body["overflow"] = options.overflow
    return body


async def _parts(response: httpx.Response) -> AsyncIterator[str | Usage]:
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        answer = json.loads(await response.aread())
        yield answer["choices"][0]["message"]["content"] or ""
        yield _usage(answer, answer["choices"][0].get("finish_reason") or "stop")
        return
    reason = ""
    async for line in lines(response):
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            break
        chunk = json.loads(data)
        if "error" in chunk:
            raise BackendError(sentence(data) or "The server failed in the middle of the answer.")
        for choice in chunk.get("choices", ()):
            reason = choice.get("finish_reason") or reason
            if piece := choice.get("delta", {}).get("content"):
                yield piece
        if chunk.get("usage"):
            yield _usage(chunk, reason)
            return
    if not reason:
        raise UnavailableError("The answer broke off: the server ended in the middle of it.", "Ask again.")
    yield Usage(prompt_tokens=0, completion_tokens=0, finish_reason=reason)


def _usage(answer: dict[str, Any], reason: str) -> Usage:
    used = answer.get("usage") or {}
    extra = answer.get("phichat") or {}
    return Usage(
        prompt_tokens=used.get("prompt_tokens", 0),
        completion_tokens=used.get("completion_tokens", 0),
        finish_reason=reason,
        dropped_messages=extra.get("dropped_messages", 0),
        context=extra.get("context"),
        template_sha256=extra.get("template_sha256", ""),
    )


def sentence(text: str) -> str:
    """The sentence in an error body, whatever its shape; empty if there is none."""
    try:
        body = json.loads(text)
    except ValueError:
        return text.strip().splitlines()[0][:300] if text.strip() else ""
    error = body.get("error", body) if isinstance(body, dict) else body
    message = error.get("message", "") if isinstance(error, dict) else error
    return str(message)


def _host(url: str) -> str:
    return urlsplit(url).netloc
