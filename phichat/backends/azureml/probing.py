"""Finds out which contract an endpoint of others has: it is asked for a token, one way after the other."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from phichat.backends import openai
from phichat.backends.azureml import contracts
from phichat.backends.azureml.contracts import Contract
from phichat.backends.base import Access
from phichat.errors import AuthError, BackendError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    import httpx

    from phichat.backends.azureml.arm import Json

COMPLETIONS = "/v1/chat/completions"
GONE = ("502", "504")
"""What the door says of a container that is not there any more: that is no contract."""

Refused = Callable[["httpx.Response"], Awaitable[BackendError]]


class Target(NamedTuple):
    """A deployment of somebody else's, and how it is reached."""

    id: str
    url: str
    """Its scoring address, as Azure tells it."""
    root: str
    access: Access
    """With the key, which no text shows."""
    headers: Mapping[str, str]
    told: Json
    """The deployment, as Azure knows it."""
    refused: Refused


class RefusedError(BackendError):
    """The container took the request and would not have it."""


async def found_out(target: Target) -> Contract:
    """Ask for one token in one way after the other; most endpoints say with the first what they are."""
    say = [{"role": "user", "content": contracts.SAY}]
    parameters = {"max_new_tokens": 1}
    completions = target.url if target.url.endswith(COMPLETIONS) else f"{target.root}{COMPLETIONS}"
    tries: list[tuple[str, Json]] = [
        (target.url, contracts.probe()),
        (target.url, contracts.envelope(say, parameters)),
        (target.url, contracts.envelope([contracts.SAY], parameters)),
        (completions, {"model": "", "messages": say, "max_tokens": 1}),
    ]
    said = ""
    for url, body in tries:
        try:
            answer = await _named(target, url, body)
        except RefusedError as error:
            said = said or error.message
            continue
        if kind := contracts.spoken(answer):
            model = str(answer.get("model") or "") if kind == "openai" else ""
            return Contract(kind=kind, url=url, model=model)
        said = said or json.dumps(answer)[:200]
    raise BackendError(
        f"The endpoint of {target.id} speaks no protocol that phichat knows; it says: {said.rstrip('.')}.",
        f"phichat logs {target.id}",
    )


async def _named(target: Target, url: str, body: Json) -> Any:
    """Ask, and once more with the name of the model where an OpenAI server wants it."""
    try:
        return await ask(target, url, body)
    except RefusedError as error:
        name = await _served(target) if _misses_model(error.message) else ""
        if not name:
            raise
    return await ask(target, url, {**body, "model": name})


async def _served(target: Target) -> str:
    """What an OpenAI server calls the first of its models; empty where it does not say."""
    import httpx

    try:
        async with openai.client(target.root) as http:
            answer = await http.get(f"{target.root}/v1/models", headers=_headers(target))
            return str(answer.json()["data"][0]["id"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return ""


async def ask(target: Target, url: str, body: Json) -> Any:
    """One question, and the whole answer.

    Raises:
        AuthError: the key is wrong.
        UnavailableError: nobody answers, or not now.
        BackendError: the container refused it.
    """
    import httpx

    try:
        async with openai.client(url) as http:
            response = await http.post(url, json=body, headers=_headers(target))
            if response.status_code == httpx.codes.OK:
                return response.json()
            refused = await target.refused(response)
    except httpx.TimeoutException as error:
        raise UnavailableError(
            f"The endpoint of {target.id} did not answer in time.", "Try again."
        ) from error
    except httpx.TransportError as error:
        raise UnavailableError(f"The endpoint of {target.id} cannot be reached: {error}.") from error
    except ValueError as error:
        raise BackendError(f"The endpoint of {target.id} gave no JSON.") from error
    missing = isinstance(refused, NotFoundError) and response.status_code == httpx.codes.NOT_FOUND
    crashed = response.headers.get("ms-azureml-model-error-statuscode") in GONE
    if isinstance(refused, (AuthError, UnavailableError)) or crashed or (missing and url == target.url):
        raise refused
    raise RefusedError(refused.message, refused.hint)


def _headers(target: Target) -> dict[str, str]:
    return {"Authorization": f"Bearer {target.access.key}", **target.headers}


def _misses_model(text: str) -> bool:
    return "model" in text and ("does not exist" in text or "not found" in text)
