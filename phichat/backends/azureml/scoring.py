"""Chatting with a deployment on Azure: its key is fetched when it is used, and only kept in memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from phichat.backends import openai
from phichat.backends.azureml import arm as waiting
from phichat.backends.azureml.container import SCORE
from phichat.backends.azureml.endpoints import Endpoints, root_of
from phichat.backends.azureml.foreign import Foreign
from phichat.backends.azureml.probing import Target
from phichat.backends.azureml.refs import Ref, ref_of
from phichat.backends.base import Access, ChatOptions, Message, Usage
from phichat.errors import AuthError, BackendError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    import httpx

    from phichat.backends.azureml.arm import Json
    from phichat.backends.azureml.workspace import Workspace

PIN = "azureml-model-deployment"
"""The header that names the deployment, whatever share of the requests it has."""
TRIES = 5
WAIT_S = 1.0
LONGEST_S = 30.0
FAILED_DEPENDENCY = 424
"""The endpoint's answer when its container answered something other than 200."""


class BusyError(UnavailableError):
    """The endpoint asks to come again later."""

    def __init__(self, message: str, hint: str, seconds: float) -> None:
        super().__init__(message, hint)
        self.seconds = seconds


class Reach(NamedTuple):
    """How an endpoint is asked; with a secret, so it is only kept in memory."""

    access: Access
    root: str
    url: str
    """Where it is scored, as Azure tells it."""
    ours: bool
    """Whether phichat has made it, whichever project's it is: then it runs our server."""


class Scoring:
    """Asks the endpoints of one workspace."""

    def __init__(self, workspace: Workspace, workdir: Path) -> None:
        self._endpoints = Endpoints(workspace)
        self._foreign = Foreign(workdir, workspace.account.settings.endpoint_template)
        self._reach: dict[str, Reach] = {}
        self._told: dict[str, Json] = {}
        """The deployments of others that were looked up."""

    async def chat(
        self, deployment_id: str, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        """The answer piece by piece, then one `Usage`.

        One that is busy is asked again when it says, a key that was changed is fetched again once; neither
        after the first piece.

        Raises:
            NotFoundError: there is no such deployment.
        """
        ref, fresh = self._ref(deployment_id), False
        for attempt in range(TRIES):
            reach, said = await self._of(ref), False
            try:
                parts = await self._parts(ref, reach, messages, options)
                async with contextlib.aclosing(parts):
                    async for part in parts:
                        said = True
                        yield part
                return
            except AuthError:
                self._reach.pop(ref.endpoint, None)
                if fresh:
                    raise
                fresh = True
            except UnavailableError as error:
                if said or attempt == TRIES - 1:
                    raise
                if not isinstance(error, BusyError):
                    await self._still_there(ref)
                asked = error.seconds if isinstance(error, BusyError) else WAIT_S * 2**attempt
                await waiting.pause(min(asked, LONGEST_S))
        raise AssertionError("unreachable")

    async def access(self, deployment_id: str) -> Access:
        """How other clients reach the endpoint, with its key as it is now.

        Raises:
            NotFoundError: there is no such deployment.
        """
        ref = self._ref(deployment_id)
        self._reach.pop(ref.endpoint, None)
        if await self._endpoints.deployment(ref) is None:
            raise _missing(ref.id)
        reach = await self._of(ref)
        return reach.access if reach.ours else await self._foreign.access(await self._target(ref, reach))

    async def _parts(
        self, ref: Ref, reach: Reach, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        if not reach.ours:
            return self._foreign.chat(await self._target(ref, reach), messages, options)
        return openai.stream_chat(
            reach.access,
            messages,
            options,
            url=f"{reach.root}{SCORE}",
            headers={PIN: ref.name},
            refused=lambda answer: _refusal(answer, ref),
        )

    async def _of(self, ref: Ref) -> Reach:
        if ref.endpoint not in self._reach:
            endpoint = await self._endpoints.find(ref.endpoint)
            if endpoint is None:
                raise _missing(ref.id)
            root, key = root_of(endpoint), await self._endpoints.key(endpoint)
            access = Access(base_url=f"{root}/v1", key=key, model=ref.name)
            url = str(endpoint["properties"]["scoringUri"])
            ours = bool((endpoint.get("tags") or {}).get("phichat"))
            self._reach[ref.endpoint] = Reach(access, root, url, ours)
        return self._reach[ref.endpoint]

    async def _target(self, ref: Ref, reach: Reach) -> Target:
        if ref.id not in self._told:
            found = await self._endpoints.deployment(ref)
            if found is None:
                raise _missing(ref.id)
            self._told[ref.id] = found
        return Target(
            id=ref.id,
            url=reach.url,
            root=reach.root,
            access=reach.access,
            headers={PIN: ref.name},
            told=self._told[ref.id],
            refused=lambda answer: _refusal(answer, ref),
        )

    async def _still_there(self, ref: Ref) -> None:
        """See that it is the network which is broken: the address of an endpoint that is gone is gone too.

        Raises:
            NotFoundError: the deployment is gone.
        """
        if await self._endpoints.deployment(ref) is None:
            self._reach.pop(ref.endpoint, None)
            raise _missing(ref.id)

    def _ref(self, deployment_id: str) -> Ref:
        ref = ref_of(deployment_id)
        if ref is None:
            raise _missing(deployment_id)
        return ref


async def _refusal(response: httpx.Response, ref: Ref) -> BackendError:
    """The error that an endpoint's answer stands for; what its container said is told as the container's."""
    if response.status_code in (429, 503):
        refused = await openai.refusal(response)
        return BusyError(refused.message, refused.hint, _seconds(response))
    if response.status_code == 404:
        return _missing(ref.id)
    if response.status_code != FAILED_DEPENDENCY:
        return await openai.refusal(response)
    status = int(response.headers.get("ms-azureml-model-error-statuscode", "0") or 0)
    text = openai.sentence((await response.aread()).decode("utf-8", errors="replace"))
    if status in (429, 503):
        told = f"The model of {ref.id} is not ready yet."
        return BusyError(told, "Try again in a minute.", _seconds(response))
    if 400 <= status < 500 or status == 507:
        return openai.error_of(status, text or f"The model of {ref.id} refused the request ({status}).")
    said = f": {text.rstrip('.')}" if text else ""
    return BackendError(
        f"The container of {ref.id} failed while it answered{said}.", f"phichat logs {ref.id}"
    )


def _seconds(response: httpx.Response) -> float:
    try:
        return float(response.headers.get("retry-after", WAIT_S))
    except ValueError:
        return WAIT_S


def _missing(deployment_id: str) -> NotFoundError:
    return NotFoundError(f"There is no deployment {deployment_id!r} on Azure.", "phichat deploy")
