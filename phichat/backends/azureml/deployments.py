"""The deployments that are there: listed, their shares changed, deleted, their logs read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.backends.azureml.endpoints import PREVIOUS, Endpoints, leading, share, state_of
from phichat.backends.azureml.failures import clean
from phichat.backends.azureml.lifetime import since, stamp, until
from phichat.backends.azureml.refs import Ref, ref_of
from phichat.backends.base import Deployment, DeploymentState
from phichat.backends.locks import locked
from phichat.errors import BackendError, NotFoundError
from phichat.events import Step

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Json
    from phichat.backends.azureml.workspace import Workspace
    from phichat.backends.base import Report


class Deployments:
    """What answers in one workspace; nothing is remembered here."""

    def __init__(self, workspace: Workspace, workdir: Path) -> None:
        self._workspace = workspace
        self._locks = workdir / "locks"
        self._endpoints = Endpoints(workspace)

    async def states(self) -> list[DeploymentState]:
        """Every deployment of the workspace, the project's own first, the oldest of an endpoint first."""
        endpoints = await self._endpoints.everybodys()
        lists = await self._endpoints.deployments_of(endpoints)
        return [
            self._state(endpoint, each)
            for endpoint, deployments in zip(endpoints, lists, strict=True)
            for each in deployments
        ]

    def _state(self, endpoint: Json, told: Json) -> DeploymentState:
        ours, url = self._endpoints.ours(endpoint), str(endpoint["properties"].get("scoringUri") or "")
        state = _state(Ref(endpoint["name"], told["name"]), told, share(endpoint), url)
        if not ours:
            return state.model_copy(update={"foreign": True, "detail": _theirs(state)})
        previous = (endpoint.get("tags") or {}).get(PREVIOUS)
        return state.model_copy(update={"previous": told["name"] == previous})

    async def delete(self, deployment_id: str) -> None:
        """Delete a deployment; if it has requests they go to another one first, where there is one."""
        ref = ref_of(deployment_id)
        if ref is None:
            return
        async with self.locked(ref.endpoint):
            endpoint = await self._endpoints.find(ref.endpoint)
            if endpoint is not None:
                self.ours(endpoint, "phichat status")
                await self.removed(ref)

    async def removed(self, ref: Ref) -> None:
        """Delete a deployment of ours, after its requests were given to another one."""
        endpoint = await self._endpoints.find(ref.endpoint)
        if endpoint is not None:
            await self._endpoints.withdraw(ref, endpoint)
            await self._endpoints.undeploy(ref)

    async def set_traffic(self, name: str, weights: Mapping[str, int], report: Report) -> None:
        """Share an endpoint's requests among its deployments, by name or id.

        Raises:
            NotFoundError: there is no such endpoint or deployment.
            BackendError: the shares are not 100 % together.
        """
        asked = {each.rpartition("/")[2]: int(percent) for each, percent in weights.items()}
        if sum(asked.values()) != 100 or min(asked.values()) < 0:
            told = f"The shares are {sum(asked.values())} % together."
            raise BackendError(told, "Give shares that make 100 % together.")
        async with self.locked(name):
            endpoint = await self._endpoints.find(name)
            if endpoint is None:
                raise NotFoundError(f"There is no endpoint {name!r}.", "phichat status")
            self.ours(endpoint, "phichat status")
            known = {each["name"]: each for each in await self._endpoints.deployments(name)}
            for each in asked:
                if each not in known:
                    told = f"The endpoint {name} has no deployment {each!r}."
                    raise NotFoundError(told, "phichat status")
            told = ", ".join(f"{percent} % to {each}" for each, percent in asked.items())
            report(Step(name="traffic", state="running", detail=told))
            await self._endpoints.share(name, asked, leading(share(endpoint), besides=leading(asked)))
            report(Step(name="traffic", state="done", detail=told))

    async def log(self, deployment_id: str) -> list[str]:
        """What a deployment's container has written.

        Raises:
            NotFoundError: there is no such deployment.
        """
        ref = ref_of(deployment_id)
        if ref is None or await self._endpoints.deployment(ref) is None:
            raise NotFoundError(f"There is no deployment {deployment_id!r} on Azure.", "phichat status")
        return [clean(line) for line in await self._endpoints.log(ref)]

    def ours(self, endpoint: Json, hint: str = "Choose another deploy.endpoint in phichat.toml.") -> None:
        """See that an endpoint is this project's.

        Raises:
            BackendError: it is somebody else's.
        """
        if not self._endpoints.ours(endpoint):
            told = f"The endpoint {endpoint['name']} belongs to somebody else."
            raise BackendError(told, hint)

    @contextlib.asynccontextmanager
    async def locked(self, endpoint: str) -> AsyncIterator[None]:
        """Let nobody else on this machine change an endpoint meanwhile."""
        self._locks.mkdir(parents=True, exist_ok=True)
        async with locked(self._locks / f"endpoint-{endpoint}.lock"):
            yield


def _state(ref: Ref, told: Json, traffic: Mapping[str, int], url: str) -> DeploymentState:
    state, tags = state_of(told), told.get("tags") or {}
    detail = str((told.get("properties") or {}).get("instanceType", ""))
    if state != "succeeded":
        detail = f"{detail}, {state}"
    ends = until(told)
    if ends is not None:
        detail += f", {'its time is up' if ends < time.time() else f'until {stamp(ends)}'}"
    return DeploymentState(
        deployment=Deployment(id=ref.id, url=url),
        healthy=state == "succeeded",
        traffic=traffic.get(ref.name, 0),
        model=str(tags.get("phichat-model") or _model(told)),
        detail=detail,
        endpoint=ref.endpoint,
        template_sha256=str(tags.get("phichat-template", "")),
        made=since(told),
        until=ends,
    )


def _theirs(state: DeploymentState) -> str:
    return f"{state.detail}, of others".removeprefix(", ")


def _model(deployment: Json) -> str:
    """The name of the model that others have deployed: `…/models/NAME/versions/…`."""
    told = (deployment.get("properties") or {}).get("model") or ""
    path = str(told.get("assetId", "") if isinstance(told, dict) else told)
    return path.partition("/models/")[2].partition("/")[0]
