"""Asks a deployed model over the OpenAI protocol; where it is and how to ask is in the environment."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

URL, KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
"""As any OpenAI client reads them, and as `phichat env` prints them."""
OPTIONS, SYSTEM = "CHAT_FLOW_OPTIONS", "CHAT_FLOW_SYSTEM"
"""More fields of the request, as JSON; and the instruction before every conversation."""
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0
"""How long a deployment may say nothing: reading a long conversation on a slow processor takes minutes."""
BUSY = (429, 502, 503, 504)
PAUSES = (1.0, 2.0, 4.0)
"""Seconds to wait before each new attempt where too many ask, or a server is just starting."""
LONGEST_PAUSE = 30.0
BROKE_OFF = "The answer broke off"
"""How everything begins that is told after the first piece."""


Pieces = Generator[str, None, None]


class DeploymentError(Exception):
    """The question cannot be answered: one sentence that says why."""


def answer(
    question: object,
    chat_history: object = (),
    environ: Mapping[str, str] = os.environ,
    pause: Callable[[float], object] = time.sleep,
) -> Pieces:
    """The answer piece by piece; closing the iterator stops the model.

    What can be known before the first piece is raised here and not by the iterator, which would be too late
    for a server that has begun to reply. An answer that breaks off says so in a last piece, because a stream
    has no other place for it, and then raises, so that nobody takes it for a whole one.

    Raises:
        DeploymentError: the question, the environment or the deployment is not as it should be.
    """
    messages = conversation(question, chat_history, environ.get(SYSTEM, ""))
    pieces = _asked(messages, environ, pause)
    try:
        first = next(pieces)
    except StopIteration:
        first = ""  # the model had nothing to say, which is not the same as no answer
    return _from(first, pieces)


def conversation(question: object, chat_history: object = (), system: str = "") -> list[dict[str, str]]:
    """The messages that a question ends.

    A first turn of `{"inputs": {"system": …}}` is an instruction of this conversation, in place of `system`.

    Raises:
        DeploymentError: it is no question, or no history.
    """
    if not isinstance(question, str) or not question.strip():
        raise DeploymentError("`question` must be a text that is not empty.")
    if not isinstance(chat_history, Sequence) or isinstance(chat_history, str):
        raise DeploymentError("`chat_history` must be a list of earlier turns.")
    messages: list[dict[str, str]] = []
    for at, turn in enumerate(chat_history):
        messages += _instruction(turn) or _turn(turn, f"`chat_history[{at}]`")
    if system and not (messages and messages[0]["role"] == "system"):
        messages.insert(0, {"role": "system", "content": system})
    return [*messages, {"role": "user", "content": question}]


def _instruction(turn: Any) -> list[dict[str, str]]:
    inputs = turn.get("inputs") if isinstance(turn, Mapping) else None
    system = inputs.get("system") if isinstance(inputs, Mapping) else None
    return [{"role": "system", "content": system}] if isinstance(system, str) else []


def _turn(turn: Any, where: str) -> list[dict[str, str]]:
    try:
        asked, said = turn["inputs"]["question"], turn["outputs"]["answer"]
    except (LookupError, TypeError) as error:
        form = '{"inputs": {"question": …}, "outputs": {"answer": …}}'
        raise DeploymentError(f"{where} must be {form}.") from error
    if not isinstance(asked, str) or not isinstance(said, str):
        raise DeploymentError(f"The question and the answer of {where} must be text.")
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]


def _from(first: str, rest: Pieces) -> Pieces:
    try:
        yield first
        yield from rest
    except DeploymentError as error:
        told = f"{BROKE_OFF}: {error}"
        yield f"\n[{told}]"
        raise DeploymentError(told) from error
    finally:
        rest.close()


def _asked(
    messages: list[dict[str, str]], environ: Mapping[str, str], pause: Callable[[float], object]
) -> Pieces:
    url, headers, body = _request(messages, environ)
    try:
        for wait in (*PAUSES, None):
            with _client(url) as http, http.stream("POST", url, headers=headers, json=body) as response:
                if response.status_code == httpx.codes.OK:
                    yield from _pieces(response)
                    return
                if wait is None or response.status_code not in BUSY:
                    raise _refused(response)
                wait = _wanted_pause(response, wait)
            pause(wait)
    except httpx.TimeoutException as error:
        raise DeploymentError(f"The deployment at {_host(url)} did not answer in time.") from error
    except httpx.RemoteProtocolError as error:
        raise DeploymentError(f"The deployment at {_host(url)} closed the connection.") from error
    except httpx.TransportError as error:
        raise DeploymentError(f"The deployment at {_host(url)} cannot be reached: {error}.") from error
    except (ValueError, LookupError, TypeError) as error:
        raise DeploymentError(f"{_host(url)} does not speak the OpenAI protocol: {error!r}.") from error


def _request(
    messages: list[dict[str, str]], environ: Mapping[str, str]
) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Where to ask, signed how, and what."""
    base = environ.get(URL, "").rstrip("/")
    if urlsplit(base).scheme not in ("http", "https"):
        raise DeploymentError(f'{URL} does not say which deployment to ask: eval "$(phichat env)".')
    # Azure's own address of an endpoint is one that takes the same body.
    url = base if base.endswith("/score") else f"{base}/chat/completions"
    headers = {"Accept": "text/event-stream, application/json"}
    if environ.get(KEY):
        headers["Authorization"] = f"Bearer {environ[KEY]}"
    try:
        options = json.loads(environ.get(OPTIONS) or "{}")
        body = {"model": "", **options, "messages": messages, "stream": True}
    except (ValueError, TypeError) as error:
        raise DeploymentError(f"{OPTIONS} is not a JSON object: {error}.") from error
    return url, headers, body


def _client(url: str) -> httpx.Client:
    """Requests to this machine never go through a proxy, and need no certificates, which are slow to load."""
    here = urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    return httpx.Client(timeout=timeout, trust_env=not here, verify=url.startswith("https"))


def _pieces(response: httpx.Response) -> Iterator[str]:
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        yield json.loads(response.read())["choices"][0]["message"]["content"] or ""
        return
    ended = False
    for line in _lines(response):
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise DeploymentError(_message(data) or "The deployment failed.")
        for choice in event.get("choices", ()):
            ended = ended or bool(choice.get("finish_reason"))
            if piece := choice.get("delta", {}).get("content"):
                yield piece
    if not ended:
        raise DeploymentError(f"The deployment at {_host(str(response.url))} ended before its answer did.")


def _lines(response: httpx.Response) -> Iterator[str]:
    """The lines as they come; httpx's own also end at characters that may stand inside a JSON text."""
    rest = b""
    for part in response.iter_bytes():
        *lines, rest = (rest + part).split(b"\n")
        yield from (line.decode() for line in lines)
    yield rest.decode()


def _refused(response: httpx.Response) -> DeploymentError:
    text = response.read().decode(errors="replace")
    message = _message(text) or f"{_host(str(response.url))} answered {response.status_code}."
    if response.status_code in (401, 403):
        message += f" {KEY} is not a key of this deployment."
    return DeploymentError(message)


def _message(text: str) -> str:
    """The sentence in an error body, whatever its shape; empty if there is none."""
    try:
        body = json.loads(text)
    except ValueError:
        return text.strip().split("\n")[0][:300] if text.strip() else ""
    error = body.get("error", body) if isinstance(body, dict) else body
    return str(error.get("message", "") if isinstance(error, dict) else error)


def _wanted_pause(response: httpx.Response, otherwise: float) -> float:
    try:
        return min(max(float(response.headers["retry-after"]), 0.0), LONGEST_PAUSE)
    except (KeyError, ValueError):
        return otherwise


def _host(url: str) -> str:
    return urlsplit(url).netloc
