"""Chatting with endpoints that others have made: which contract one has is found out once, and remembered."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from phichat.backends import openai
from phichat.backends.azureml import contracts, rendering
from phichat.backends.azureml.contracts import Contract
from phichat.backends.base import Access, ChatOptions, Message, Usage
from phichat.errors import AuthError, BackendError, NotFoundError, UnavailableError, UnsupportedError
from phichat.paths import write_atomic

if TYPE_CHECKING:
    import httpx

    from phichat.backends.azureml.arm import Json

COMPLETIONS = "/v1/chat/completions"
UNKNOWN = "unknown"
"""Why an answer ended, where a contract does not say."""

Refused = Callable[["httpx.Response"], Awaitable[BackendError]]


class Place(NamedTuple):
    """A deployment of somebody else's, and how it is reached."""

    id: str
    url: str
    """Its scoring address, as Azure tells it."""
    root: str
    key: str
    headers: Mapping[str, str]
    told: Json
    """The deployment, as Azure knows it."""
    refused: Refused


class Foreign:
    """Asks them, each in its own contract."""

    def __init__(self, workdir: Path, template: str) -> None:
        self._file = workdir / "contracts.json"
        self._template = template

    async def chat(
        self, place: Place, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        """The answer, piece by piece where the contract has pieces, then one `Usage`.

        Raises:
            UnsupportedError: the contract has no such thing.
            BackendError: the endpoint has none of the contracts, or refused the question.
        """
        contract = await self.contract(place)
        if options.continue_final and contract.kind not in ("mlflow", "catalogue-text"):
            told = f"The endpoint of {place.id} cannot go on with an answer."
            raise UnsupportedError(told, "Ask again instead.")
        if contract.kind == "openai":
            access = Access(base_url=f"{place.root}/v1", key=place.key, model=contract.model)
            # Not of the protocol: others refuse it, or ignore it without a word.
            plain = options.model_copy(update={"overflow": "error"})
            parts = openai.stream_chat(
                access, messages, plain, url=contract.url, headers=place.headers, refused=place.refused
            )
            async with contextlib.aclosing(parts):
                async for part in parts:
                    yield part
            return
        yield await self._whole(place, contract, messages, options)
        yield Usage(prompt_tokens=0, completion_tokens=0, finish_reason=UNKNOWN)

    async def access(self, place: Place) -> Access:
        """How other clients reach it.

        Raises:
            UnsupportedError: it does not speak the OpenAI protocol.
        """
        contract = await self.contract(place)
        if contract.kind != "openai":
            raise UnsupportedError(
                f"The endpoint of {place.id} speaks {contracts.NAMES[contract.kind]}, and other clients want "
                "the OpenAI protocol.",
                f"phichat chat --deployment {place.id}",
            )
        base = contract.url.removesuffix("/chat/completions")
        return Access(base_url=base, key=place.key, model=contract.model)

    async def contract(self, place: Place) -> Contract:
        """The contract of a deployment: remembered, else found out now.

        Raises:
            BackendError: it has none of those that are known.
        """
        about = _content(place.told)
        known = await asyncio.to_thread(self._known)
        found = known.get(place.id)
        if found is None or found.about != about:
            found = (await _found_out(place)).model_copy(update={"about": about})
            await asyncio.to_thread(self._remember, place.id, found)
        return found

    async def _whole(
        self, place: Place, contract: Contract, messages: Sequence[Message], options: ChatOptions
    ) -> str:
        prompt = ""
        if contract.kind != "catalogue":
            prompt = await asyncio.to_thread(
                rendering.rendered, self._named(place), messages, continues=options.continue_final
            )
        answer = await _ask(place, contract.url, contracts.body(contract.kind, messages, prompt, options))
        try:
            return contracts.text_of(answer, prompt, options)
        except LookupError as error:
            await asyncio.to_thread(self._forget, place.id)
            said = json.dumps(answer)[:200]
            raise BackendError(f"The endpoint of {place.id} gave no answer: {said}.") from error

    def _named(self, place: Place) -> str:
        """The model whose chat template the endpoint's model was trained with."""
        tags, told = place.told.get("tags") or {}, place.told.get("properties") or {}
        about = [str(tags.get("base_model", "")), str(told.get("model", "")), place.id]
        name = rendering.template_named(self._template, *about)
        if not name:
            raise BackendError(
                f"The endpoint of {place.id} takes plain text, and nobody knows its model's chat template.",
                f"Set {rendering.SETTING} to a model of the catalogue or to a model's folder.",
            )
        return name

    def _known(self) -> dict[str, Contract]:
        try:
            told = json.loads(self._file.read_text(encoding="utf-8"))
            return {name: Contract.model_validate(each) for name, each in told.items()}
        except (FileNotFoundError, ValueError, AttributeError):
            return {}

    def _remember(self, name: str, contract: Contract) -> None:
        self._write({**self._known(), name: contract})

    def _forget(self, name: str) -> None:
        self._write({each: contract for each, contract in self._known().items() if each != name})

    def _write(self, known: Mapping[str, Contract]) -> None:
        told = {name: contract.model_dump() for name, contract in known.items()}
        write_atomic(self._file, json.dumps(told, indent=1))


class _RefusedError(BackendError):
    """The container took the request and would not have it."""


async def _found_out(place: Place) -> Contract:
    """Ask for one token in one way after the other; most endpoints say with the first what they are."""
    say = [{"role": "user", "content": contracts.SAY}]
    parameters = {"max_new_tokens": 1}
    completions = place.url if place.url.endswith(COMPLETIONS) else f"{place.root}{COMPLETIONS}"
    tries: list[tuple[str, Json]] = [
        (place.url, contracts.probe()),
        (place.url, contracts.envelope(say, parameters)),
        (place.url, contracts.envelope([contracts.SAY], parameters)),
        (completions, {"model": "", "messages": say, "max_tokens": 1}),
    ]
    said = ""
    for url, body in tries:
        try:
            answer = await _ask(place, url, body)
        except _RefusedError as error:
            said = said or error.message
            if not _misses_model(error.message):
                continue
            answer = await _ask(place, url, {**body, "model": await _served(place)})
        if kind := contracts.spoken(answer):
            model = str(answer.get("model") or "") if kind == "openai" else ""
            return Contract(kind=kind, url=url, model=model)
        said = said or json.dumps(answer)[:200]
    raise BackendError(
        f"The endpoint of {place.id} speaks no protocol that phichat knows; it says: {said.rstrip('.')}.",
        f"phichat logs {place.id}",
    )


async def _served(place: Place) -> str:
    """What an OpenAI server calls the first of its models."""
    async with openai.client(place.root) as http:
        answer = await http.get(f"{place.root}/v1/models", headers=_headers(place))
        try:
            return str(answer.json()["data"][0]["id"])
        except (ValueError, LookupError, TypeError):
            return ""


async def _ask(place: Place, url: str, body: Json) -> Any:
    """One question, and the whole answer.

    Raises:
        AuthError: the key is wrong.
        UnavailableError: nobody answers, or not now.
        BackendError: the container refused it.
    """
    import httpx

    try:
        async with openai.client(url) as http:
            response = await http.post(url, json=body, headers=_headers(place))
            if response.status_code == httpx.codes.OK:
                return response.json()
            refused = await place.refused(response)
    except httpx.TimeoutException as error:
        raise UnavailableError(f"The endpoint of {place.id} did not answer in time.", "Try again.") from error
    except httpx.TransportError as error:
        raise UnavailableError(f"The endpoint of {place.id} cannot be reached: {error}.") from error
    except ValueError as error:
        raise BackendError(f"The endpoint of {place.id} gave no JSON.") from error
    gone = isinstance(refused, NotFoundError) and response.status_code == httpx.codes.NOT_FOUND
    if isinstance(refused, (AuthError, UnavailableError)) or (gone and url == place.url):
        raise refused
    raise _RefusedError(refused.message, refused.hint)


def _headers(place: Place) -> dict[str, str]:
    return {"Authorization": f"Bearer {place.key}", **place.headers}


def _misses_model(text: str) -> bool:
    return "model" in text and ("does not exist" in text or "not found" in text)


def _content(told: Json) -> str:
    """Names what a deployment runs: its model, environment and code."""
    properties = told.get("properties") or {}
    what = [properties.get(name) for name in ("model", "environmentId", "codeConfiguration")]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
