"""Chatting with endpoints that others have made: which contract one has is found out once, and remembered."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.backends import openai
from phichat.backends.azureml import contracts, rendering
from phichat.backends.azureml.contracts import Contract
from phichat.backends.azureml.probing import Target, ask, found_out
from phichat.backends.base import Access, ChatOptions, Message, Usage
from phichat.errors import BackendError, UnsupportedError
from phichat.paths import write_atomic

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Json

UNKNOWN = "unknown"
"""Why an answer ended, where a contract does not say."""


class Foreign:
    """Asks them, each in its own contract."""

    def __init__(self, workdir: Path, template: str) -> None:
        self._file = workdir / "contracts.json"
        self._template = template

    async def chat(
        self, target: Target, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        """The answer, piece by piece where the contract has pieces, then one `Usage`.

        Raises:
            UnsupportedError: the contract has no such thing.
            BackendError: the endpoint has none of the contracts, or refused the question.
        """
        contract = await self.contract(target)
        if options.continue_final and contract.kind not in ("mlflow", "catalogue-text"):
            told = f"The endpoint of {target.id} cannot go on with an answer."
            raise UnsupportedError(told, "Ask again instead.")
        if contract.kind == "openai":
            access = Access(base_url=f"{target.root}/v1", key=target.access.key, model=contract.model)
            # Not of the protocol: others refuse it, or ignore it without a word.
            plain = options.model_copy(update={"overflow": "error"})
            parts = openai.stream_chat(
                access, messages, plain, url=contract.url, headers=target.headers, refused=target.refused
            )
            async with contextlib.aclosing(parts):
                async for part in parts:
                    yield part
            return
        yield await self._whole(target, contract, messages, options)
        yield Usage(prompt_tokens=0, completion_tokens=0, finish_reason=UNKNOWN)

    async def access(self, target: Target) -> Access:
        """How other clients reach it.

        Raises:
            UnsupportedError: it does not speak the OpenAI protocol.
        """
        contract = await self.contract(target)
        if contract.kind != "openai":
            raise UnsupportedError(
                f"The endpoint of {target.id} speaks {contracts.NAMES[contract.kind]}, and other clients "
                "want the OpenAI protocol.",
                f"phichat chat --deployment {target.id}",
            )
        base = contract.url.removesuffix("/chat/completions")
        return Access(base_url=base, key=target.access.key, model=contract.model)

    async def contract(self, target: Target) -> Contract:
        """The contract of a deployment: remembered, else found out now.

        Raises:
            BackendError: it has none of those that are known.
        """
        about = _content(target.told)
        known = await asyncio.to_thread(self._known)
        found = known.get(target.id)
        if found is None or found.about != about:
            found = (await found_out(target)).model_copy(update={"about": about})
            await asyncio.to_thread(self._remember, target.id, found)
        return found

    async def _whole(
        self, target: Target, contract: Contract, messages: Sequence[Message], options: ChatOptions
    ) -> str:
        prompt = ""
        if contract.kind != "catalogue":
            prompt = await asyncio.to_thread(
                rendering.rendered, self._named(target), messages, continues=options.continue_final
            )
        answer = await ask(target, contract.url, contracts.body(contract.kind, messages, prompt, options))
        try:
            return contracts.text_of(answer, prompt, options)
        except LookupError as error:
            await asyncio.to_thread(self._forget, target.id)
            said = json.dumps(answer)[:200]
            raise BackendError(f"The endpoint of {target.id} gave no answer: {said}.") from error

    def _named(self, target: Target) -> str:
        """The model whose chat template the endpoint's model was trained with."""
        tags, told = target.told.get("tags") or {}, target.told.get("properties") or {}
        about = [str(tags.get("base_model", "")), str(told.get("model", "")), target.id]
        name = rendering.template_named(self._template, *about)
        if not name:
            raise BackendError(
                f"The endpoint of {target.id} takes plain text, and nobody knows its model's chat template.",
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


def _content(told: Json) -> str:
    """Names what a deployment runs: its model, environment and code."""
    properties = told.get("properties") or {}
    what = [properties.get(name) for name in ("model", "environmentId", "codeConfiguration")]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
