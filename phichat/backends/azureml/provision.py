"""Makes the place ready: all that otherwise is clicked together in the portal, each part once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from phichat.backends.azureml import arm as waiting
from phichat.backends.azureml import parts, quota, quota_request
from phichat.backends.azureml.place import (
    ML,
    SUBSCRIPTIONS_API,
    WORKSPACE_API,
    Identity,
    Place,
    identity_of,
    place_of,
)
from phichat.backends.azureml.roles import OF_ENDPOINTS, give_role, has_role
from phichat.errors import BackendError, QuotaError, UnavailableError
from phichat.events import Step

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Arm, Json
    from phichat.backends.azureml.parts import Part
    from phichat.backends.azureml.settings import AzureMLSettings
    from phichat.backends.base import Report

PROVIDERS = (
    ML,
    "Microsoft.Storage",
    "Microsoft.KeyVault",
    "Microsoft.ContainerRegistry",
    "Microsoft.Insights",
    "Microsoft.OperationalInsights",
    "Microsoft.ManagedIdentity",
    "Microsoft.Quota",
)
"""The services of Azure that are used: a new subscription has registered none of them."""
PROVIDERS_API = "2021-04-01"
REGISTERED = "registered"


class Provision:
    """One walk over all that a project needs: a dry one only looks, the other makes what is missing."""

    def __init__(
        self, arm: Arm, settings: AzureMLSettings, project: str, report: Report, *, dry: bool
    ) -> None:
        self._arm = arm
        self._settings = settings
        self._tags = {"phichat": project}
        self._report = report
        self._dry = dry
        self._place: Place
        self._refused: list[str] = []

    async def walk(self) -> None:
        """Look at every part in its order, and make it if it is missing.

        Raises:
            QuotaError: all is made, but Azure does not grant the quota.
            BackendError: a part could not be made; the next walk goes on there.
        """
        self._place = await place_of(self._arm, self._settings)
        await self._providers()
        await self._ensure(parts.group(self._place))
        workspace = await self._workspace()
        identity = await self._identity()
        await self._roles(workspace, identity)
        await self._quota()
        if self._refused:
            raise QuotaError(
                "All is ready except the quota: Azure does not grant it automatically.",
                f"Ask for it at {'; and at '.join(self._refused)}",
            )

    async def _providers(self) -> None:
        name = "services of the subscription"
        self._begin(name)
        found = await asyncio.gather(*(self._provider(each) for each in PROVIDERS))
        missing = [each for each, state in zip(PROVIDERS, found, strict=True) if state != REGISTERED]
        if not missing:
            self._tell(name, "reused", "all registered")
            return
        if self._dry:
            self._tell(name, "planned", f"register {', '.join(missing)}")
            return
        for each in missing:
            path = f"{self._place.subscription_path}/providers/{each}/register"
            await self._arm.ask("POST", path, PROVIDERS_API, {}, f"register {each}")
        for _ in range(waiting.PATIENCE):
            states = await asyncio.gather(*(self._provider(each) for each in missing))
            if all(state == REGISTERED for state in states):
                self._tell(name, "done", f"registered {', '.join(missing)}")
                return
            await waiting.pause(waiting.WAIT_S)
        raise UnavailableError("Azure has not registered the services yet.", "phichat provision")

    async def _provider(self, namespace: str) -> str:
        path = f"{self._place.subscription_path}/providers/{namespace}"
        found = await self._arm.get(path, PROVIDERS_API, f"look at the service {namespace}")
        return str(found.get("registrationState", "")).lower()

    async def _workspace(self) -> Json | None:
        """The workspace: one that is there keeps its own storage and registry, a new one gets new ones."""
        place = self._place
        doing = f"look up the workspace {place.workspace}"
        found = await self._arm.find(place.workspace_path, WORKSPACE_API, doing)
        if found is not None:
            self._in_location(found)
        needs = {} if found is not None and not _broken(found) else await self._needs()
        return await self._ensure(parts.workspace(place, needs))

    async def _needs(self) -> dict[str, str]:
        """Make what a new workspace needs beside itself; the paths, by the properties that name them."""
        place = self._place
        looked = await self._arm.get(place.subscription_path, SUBSCRIPTIONS_API, "look at the subscription")
        needed = parts.needed(place, looked["tenantId"])
        for part in needed.values():
            await self._ensure(part)
        return {name: part.path for name, part in needed.items() if name != "logs"}

    async def _identity(self) -> Identity | None:
        await self._ensure(parts.identity(self._place))
        return await identity_of(self._arm, self._place)

    async def _roles(self, workspace: Json | None, identity: Identity | None) -> None:
        told = (workspace or {}).get("properties", {})
        for role, what in OF_ENDPOINTS.items():
            await self._role(role, told.get(what), workspace, identity)
        if self._settings.contributor:
            await self._role("Contributor", self._place.group_path, workspace, identity)

    async def _role(
        self, role: str, scope: str | None, workspace: Json | None, identity: Identity | None
    ) -> None:
        name = f"role {role}"
        self._begin(name)
        if workspace is not None and not scope:
            # Azure makes the registry of such a workspace with its first image.
            self._tell(name, "planned", "the workspace has no registry yet: provision again after a training")
            return
        if scope is None or identity is None:
            self._tell(name, "planned", f"for the identity {self._place.identity}")
            return
        on = scope.rpartition("/")[2]
        if await has_role(self._arm, scope, identity.principal_id, role):
            self._tell(name, "reused", f"on {on}")
        elif self._dry:
            self._tell(name, "planned", f"on {on}")
        else:
            with self._failing(name):
                await give_role(self._arm, self._place, scope, identity.principal_id, role)
            self._tell(name, "done", f"on {on}")

    async def _quota(self) -> None:
        fits = await quota.quota_fits(self._arm, self._place, self._settings)
        for fit in fits:
            name = f"quota {fit.label}"
            if not fit.short:
                self._tell(name, "reused", fit.room)
            elif self._dry:
                self._tell(name, "planned", f"ask for a limit of {fit.wanted_limit} vCPUs ({fit.room})")
            else:
                await self._ask_for(name, fit)

    async def _ask_for(self, name: str, fit: quota.Fit) -> None:
        self._begin(name)
        if fit.family == quota.TOTAL:
            # The service that takes requests knows families only.
            answer = quota_request.Answer("refused", fit.room)
        else:
            answer = await quota_request.ask(self._arm, self._place, fit)
        if answer.state == "refused":
            self._refused.append(quota_request.page(self._place, fit))
            self._tell(name, "failed", answer.detail)
        else:
            self._tell(name, "done" if answer.state == "granted" else "running", answer.detail)

    async def _ensure(self, part: Part) -> Json | None:
        """A resource: found, or made now; None on a dry walk that does not find it."""
        self._begin(part.kind)
        called = f"the {part.kind} {part.name}"
        found = await self._arm.find(part.path, part.version, f"look up {called}")
        if found is not None and not _broken(found):
            # One that an earlier walk began to make is waited for, not made once more.
            if not self._dry:
                found = await self._arm.settled(part.path, part.version, f"make {called}")
            self._tell(part.kind, "reused", part.name)
            return found
        if self._dry:
            costs = f", {part.costs}" if part.costs else ""
            self._tell(part.kind, "planned", f"{part.name}{costs}")
            return None
        with self._failing(part.kind):
            body = {**part.body, "tags": self._tags}
            made = await self._arm.put(part.path, part.version, body, f"make {called}")
        self._tell(part.kind, "done", part.name)
        return made

    def _in_location(self, workspace: Json) -> None:
        there = str(workspace.get("location", "")).replace(" ", "").lower()
        if there and there != self._place.location:
            raise BackendError(
                f"The workspace {self._place.workspace} is in {there}, not in {self._place.location}.",
                f"Set backends.azureml.location to {there}, or choose another workspace.",
            )

    def _begin(self, name: str) -> None:
        if not self._dry:
            self._report(Step(name=name, state="running"))

    def _tell(self, name: str, state: Any, detail: str) -> None:
        self._report(Step(name=name, state=state, detail=detail))

    @contextlib.contextmanager
    def _failing(self, name: str) -> Iterator[None]:
        """Tell the step that failed, and let the error go on."""
        try:
            yield
        except BackendError as error:
            self._tell(name, "failed", error.message)
            raise


def _broken(resource: Json) -> bool:
    """Whether making it has failed: what is left of it is made once more by the same name."""
    state = str((resource.get("properties") or {}).get("provisioningState", "")).lower()
    return state in ("failed", "canceled")
