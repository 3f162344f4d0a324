"""Online endpoints and their deployments as the resource manager keeps them; the cloud is the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from phichat.backends.azureml.place import identity_of
from phichat.backends.azureml.refs import Ref
from phichat.backends.azureml.telling import lines_of
from phichat.errors import BackendError, NotFoundError

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Json
    from phichat.backends.azureml.workspace import Workspace

API = "2022-02-01-preview"
DEPLOYMENT_API = "2023-04-01-preview"
DOMAIN = ".inference.ml.azure.com"
PREVIOUS = "phichat-previous"
"""The endpoint's tag that names the deployment which answered before the present one."""
LOG_LINES = 500
SCOPE = "https://ml.azure.com/.default"
"""Of a token that opens an endpoint which takes the sign-in itself."""
AUTH = {"key": "Key", "aml_token": "AMLToken", "aad_token": "AADToken"}


def share(endpoint: Json) -> dict[str, int]:
    """The percent of an endpoint's requests that each deployment answers."""
    told = (endpoint.get("properties") or {}).get("traffic") or {}
    return {str(name): int(percent) for name, percent in told.items()}


def state_of(resource: Json) -> str:
    """How far Azure is with a resource, in small letters."""
    return str((resource.get("properties") or {}).get("provisioningState", "Succeeded")).lower()


def leading(traffic: Mapping[str, int], besides: str = "") -> str:
    """The deployment with the most requests; empty where none has any."""
    others = {name: percent for name, percent in traffic.items() if percent and name != besides}
    return max(others, key=lambda name: others[name], default="")


def made(deployment: Json) -> str:
    """When a deployment was made, to sort by."""
    return str((deployment.get("tags") or {}).get("phichat-made", ""))


class Endpoints:
    """The endpoints of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._arm = workspace.account.arm

    async def all(self) -> list[Json]:
        """The endpoints that this project has made."""
        return [each for each in await self.everybodys() if self.ours(each)]

    async def everybodys(self) -> list[Json]:
        """All endpoints of the workspace, those of the project first."""
        try:
            await self._workspace.look()
        except NotFoundError:
            return []
        path = await self._workspace.path("onlineEndpoints")
        found = await self._arm.all(path, API, "list the endpoints")
        return sorted(found, key=lambda each: not self.ours(each))

    def ours(self, endpoint: Json) -> bool:
        """Whether this project has made an endpoint."""
        return bool((endpoint.get("tags") or {}).get("phichat") == self._workspace.account.project)

    async def find(self, name: str) -> Json | None:
        """An endpoint, or None if there certainly is none."""
        return await self._workspace.find(f"onlineEndpoints/{name}", API, f"look up the endpoint {name}")

    async def make(self, name: str) -> Json:
        """Make an endpoint, or make one whole that failed; never deletes anything.

        Raises:
            BackendError: its name is taken, or it is somebody else's.
        """
        settings, place = self._workspace.account.settings, await self._workspace.place()
        identity = await identity_of(self._arm, place)
        body = {
            "location": place.location,
            "tags": {"phichat": self._workspace.account.project},
            "identity": _identity(identity.resource_id if identity else ""),
            "properties": {"authMode": AUTH[settings.endpoint_auth], "publicNetworkAccess": "Enabled"},
        }
        path = await self._workspace.path(f"onlineEndpoints/{name}")
        return await self._arm.put(path, API, body, f"make the endpoint {name}")

    async def share(self, name: str, weights: Mapping[str, int], previous: str = "") -> None:
        """Share an endpoint's requests; `previous`: the deployment that a rollback goes to.

        Raises:
            NotFoundError: there is no such endpoint.
        """
        found = await self.find(name)
        if found is None:
            raise NotFoundError(f"There is no endpoint {name!r}.", "phichat deploy")
        known = found.get("properties") or {}
        tags = {**(found.get("tags") or {}), **({PREVIOUS: previous} if previous else {})}
        kept = {
            key: known[key] for key in ("authMode", "publicNetworkAccess", "description") if known.get(key)
        }
        body = {
            "location": found["location"],
            "tags": tags,
            "identity": _kept_identity(found.get("identity") or {}),
            "properties": {**kept, "traffic": dict(weights)},
        }
        path = await self._workspace.path(f"onlineEndpoints/{name}")
        await self._arm.put(path, API, body, f"share the requests of the endpoint {name}")

    async def remove(self, name: str) -> None:
        """Delete an endpoint with all its deployments; one that is gone already is no error."""
        path = await self._workspace.path(f"onlineEndpoints/{name}")
        await self._arm.delete(path, API, f"delete the endpoint {name}")

    async def deployments(self, endpoint: str) -> list[Json]:
        """The deployments of an endpoint, the oldest first; none where it is gone by now."""
        path = await self._workspace.path(f"onlineEndpoints/{endpoint}/deployments")
        try:
            found = await self._arm.all(path, DEPLOYMENT_API, f"list the deployments of {endpoint}")
        except NotFoundError:
            return []
        return sorted(found, key=made)

    async def deployments_of(self, endpoints: Sequence[Json]) -> list[list[Json]]:
        """The deployments of several endpoints, asked for at once: a workspace may have many of others."""
        return await asyncio.gather(*(self.deployments(each["name"]) for each in endpoints))

    async def deployment(self, ref: Ref) -> Json | None:
        """A deployment, or None if there certainly is none."""
        return await self._workspace.find(ref.path, DEPLOYMENT_API, f"look up the deployment {ref.id}")

    async def deploy(self, ref: Ref, body: Mapping[str, Any]) -> None:
        """Make a deployment, and wait until its container is ready: ten minutes or more.

        Raises:
            UnavailableError: Azure is not done yet.
            BackendError: it failed; what is left of it is still there.
        """
        path = await self._workspace.path(ref.path)
        await self._arm.put(path, DEPLOYMENT_API, body, f"make the deployment {ref.name}")

    async def tag(self, ref: Ref, tags: Mapping[str, str]) -> None:
        """Give a deployment other tags; its container goes on."""
        path, doing = await self._workspace.path(ref.path), f"mark the deployment {ref.name}"
        await self._arm.ask("PATCH", path, DEPLOYMENT_API, {"tags": dict(tags)}, doing)
        await self._arm.settled(path, DEPLOYMENT_API, doing)

    async def settled(self, ref: Ref) -> None:
        """Wait for a deployment that an earlier process began to make, as `deploy` does."""
        path = await self._workspace.path(ref.path)
        await self._arm.settled(path, DEPLOYMENT_API, f"make the deployment {ref.name}")

    async def undeploy(self, ref: Ref) -> None:
        """Delete a deployment that has no traffic; one that is gone already is no error."""
        path = await self._workspace.path(ref.path)
        await self._arm.delete(path, DEPLOYMENT_API, f"delete the deployment {ref.name}")

    async def withdraw(self, ref: Ref, endpoint: Json) -> None:
        """Let the requests of a deployment go elsewhere: to the others that have some, else to the last."""
        if not share(endpoint).get(ref.name):
            return
        others = [each for each in await self.deployments(ref.endpoint) if each["name"] != ref.name]
        good = [each["name"] for each in others if state_of(each) == "succeeded"]
        previous = (endpoint.get("tags") or {}).get(PREVIOUS)
        heir = leading(share(endpoint), besides=ref.name) or (previous if previous in good else None)
        heir = heir or (good[-1] if good else None)
        await self.share(ref.endpoint, {heir: 100} if heir else {})

    async def log(self, ref: Ref) -> list[str]:
        """What a deployment's container has written lately."""
        path = await self._workspace.path(f"{ref.path}/getLogs")
        asked = {"containerType": "InferenceServer", "tail": LOG_LINES}
        told = await self._arm.ask("POST", path, DEPLOYMENT_API, asked, f"read the log of {ref.name}")
        return lines_of(str(told.get("content") or ""))

    async def key(self, endpoint: Json) -> str:
        """What opens an endpoint, fetched now; it is a secret."""
        name, mode = endpoint["name"], (endpoint.get("properties") or {}).get("authMode", "Key")
        if mode == AUTH["aad_token"]:
            sign_in = self._workspace.account.sign_in
            found = await self._workspace.run("sign in to the endpoint", lambda: sign_in.get_token(SCOPE))
            return found.token
        asked, field = ("token", "accessToken") if mode == AUTH["aml_token"] else ("listKeys", "primaryKey")
        path = await self._workspace.path(f"onlineEndpoints/{name}/{asked}")
        told = await self._arm.ask("POST", path, API, {}, f"fetch the key of the endpoint {name}")
        return str(told[field])


def root_of(endpoint: Json) -> str:
    """The address of an endpoint, without a slash at its end.

    Raises:
        BackendError: it is not one of Azure's: the key must not go there.
    """
    told = str((endpoint.get("properties") or {}).get("scoringUri") or "")
    parts = urlsplit(told)
    if parts.scheme != "https" or not (parts.hostname or "").endswith(DOMAIN):
        raise BackendError("Azure named a foreign address for the endpoint.")
    return f"https://{parts.netloc}"


def _identity(resource_id: str) -> Json:
    """The managed identity where provision made one; else the endpoint gets one of its own."""
    if not resource_id:
        return {"type": "SystemAssigned"}
    return {"type": "UserAssigned", "userAssignedIdentities": {resource_id: {}}}


def _kept_identity(told: Json) -> Json:
    kept: Json = {"type": told.get("type", "SystemAssigned")}
    if told.get("userAssignedIdentities"):
        kept["userAssignedIdentities"] = {name: {} for name in told["userAssignedIdentities"]}
    return kept
