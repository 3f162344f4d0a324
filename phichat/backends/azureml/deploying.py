"""Deploying without downtime: a new deployment gets its first request only when it has answered a test."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple

from phichat.backends.azureml import container, registering
from phichat.backends.azureml.endpoints import Endpoints, leading, share, state_of
from phichat.backends.azureml.failures import clean, diagnose
from phichat.backends.azureml.lifetime import MADE, UNTIL, stamp
from phichat.backends.azureml.refs import Ref, deployment_name, endpoint_name
from phichat.backends.azureml.registering import Model
from phichat.backends.base import ChatOptions, Deployment, DeploySpec, Message
from phichat.errors import AuthError, BackendError, UnavailableError
from phichat.events import Log, Step, unheard

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Json
    from phichat.backends.azureml.assets import Asset
    from phichat.backends.azureml.deployments import Deployments
    from phichat.backends.azureml.jobs import Jobs
    from phichat.backends.azureml.scoring import Scoring
    from phichat.backends.azureml.workspace import Workspace
    from phichat.backends.base import Report

PROBE = {"failureThreshold": 30, "successThreshold": 1, "period": "PT1M40S", "initialDelay": "PT8M20S"}
"""Generous, as in Microsoft's tutorial: with the defaults a large model is killed while it loads."""
REQUESTS = {"maxConcurrentRequestsPerInstance": 3, "requestTimeout": "PT3M", "maxQueueWait": "PT2M"}
STEPS = (10, 50, 100)
"""Percent of the requests that a new deployment gets, one after the other, where that is wanted."""
SHOWN = 20
"""Last lines of a container's log that are told when it fails."""
ABOVE = "What it wrote last is told above; then: phichat deploy"
TEST = ChatOptions(max_new_tokens=16, temperature=0)


class Wanted(NamedTuple):
    """What is to be deployed, with every name that it will have."""

    spec: DeploySpec
    ref: Ref
    model: Model
    image: Asset
    size: str


class Deploying:
    """Makes deployments; nothing is remembered here."""

    def __init__(self, workspace: Workspace, jobs: Jobs, scoring: Scoring, deployments: Deployments) -> None:
        self._workspace = workspace
        self._jobs = jobs
        self._scoring = scoring
        self._deployments = deployments
        self._endpoints = Endpoints(workspace)

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        """Make a model answer chats; what answered before is kept, without requests, for a rollback.

        Raises:
            NotFoundError: there is no such model.
            BackendError: the new deployment failed and was removed; requests go where they went.
        """
        wanted = await self._wanted(spec, report, pull=True)
        async with self._deployments.locked(wanted.ref.endpoint):
            await self._have_model(wanted, report)
            await self._have_container(wanted, report)
            endpoint = await self._have_endpoint(wanted.ref.endpoint, report)
            await self._have_deployment(wanted, report)
            if share(endpoint).get(wanted.ref.name) != 100:
                await self._tested(wanted, report)
                await self._shift(wanted, share(endpoint), report)
        return Deployment(id=wanted.ref.id, url=await self._url(wanted.ref.endpoint))

    async def plan(self, spec: DeploySpec) -> list[Step]:
        """What `deploy` would do; only looks."""
        wanted = await self._wanted(spec, unheard, pull=False)
        workspace, ref = self._workspace, wanted.ref
        endpoint = await self._endpoints.find(ref.endpoint)
        there = endpoint is not None and await self._endpoints.deployment(ref) is not None
        before = share(endpoint) if endpoint else {}
        answers = before.get(ref.name) == 100
        shares = _shares(spec, before, ref.name)
        found = [
            ("model", wanted.model.label, await registering.there(workspace, wanted.model)),
            ("container", wanted.image.label, await container.there(workspace, wanted.image)),
            ("endpoint", ref.endpoint, endpoint is not None),
            ("deployment", f"{ref.name} on {wanted.size}", there),
            ("smoke test", "held-out questions", answers),
            ("traffic", f"{_told(shares)} % to {ref.name}", answers),
        ]
        return [Step(name=n, state="reused" if ok else "planned", detail=told) for n, told, ok in found]

    async def _wanted(self, spec: DeploySpec, report: Report, *, pull: bool) -> Wanted:
        account = self._workspace.account
        model = await registering.model_of(spec, self._jobs, report, pull=pull)
        place = await self._workspace.place()
        named = (place.subscription, place.group, place.workspace)
        endpoint = endpoint_name(spec.endpoint, named, account.project)
        size, image = account.settings.serving_size(spec.size), container.context()
        name = deployment_name(spec.name, model.path, image.version, size)
        return Wanted(spec, Ref(endpoint, name), model, image, size)

    async def _have_model(self, wanted: Wanted, report: Report) -> None:
        async with _step("model", wanted.model.label, report) as step:
            if await registering.there(self._workspace, wanted.model):
                step.reused = True
            else:
                await registering.register(self._workspace, wanted.model, report)

    async def _have_container(self, wanted: Wanted, report: Report) -> None:
        async with _step("container", wanted.image.label, report) as step:
            if await container.there(self._workspace, wanted.image):
                step.reused = True
            else:
                await container.make(self._workspace, wanted.image, report)

    async def _have_endpoint(self, name: str, report: Report) -> Json:
        async with _step("endpoint", name, report) as step:
            found = await self._endpoints.find(name)
            if found is not None:
                self._deployments.ours(found)
            if found is not None and state_of(found) != "failed":
                step.reused = True
                return found
            return await self._endpoints.make(name)

    async def _have_deployment(self, wanted: Wanted, report: Report) -> None:
        ref = wanted.ref
        async with _step("deployment", f"{ref.name} on {wanted.size}", report) as step:
            found = await self._endpoints.deployment(ref)
            if found is not None and state_of(found) in ("failed", "canceled"):
                await self._deployments.removed(ref)
                found = None
            if found is not None and state_of(found) == "succeeded":
                step.reused = True
                await self._prolonged(wanted, found)
                return
            try:
                if found is not None:
                    await self._endpoints.settled(ref)
                else:
                    report(Log(line=f"It takes ten minutes or more. What it writes: phichat logs {ref.id}"))
                    await self._endpoints.deploy(ref, await self._body(wanted))
            except UnavailableError as error:
                # Azure goes on with it, whoever waits.
                hint = "Repeat the command: it waits for the same deployment."
                raise UnavailableError(error.message, hint) from error
            except BackendError as error:
                raise await self._given_up(ref, error, report) from error

    async def _prolonged(self, wanted: Wanted, found: Json) -> None:
        """Give a deployment that is there the time to live that is asked for now."""
        if wanted.spec.ttl_hours is not None:
            ends = stamp(time.time() + wanted.spec.ttl_hours * 3600)
            await self._endpoints.tag(wanted.ref, {**(found.get("tags") or {}), UNTIL: ends})

    async def _tested(self, wanted: Wanted, report: Report) -> None:
        """Ask the new deployment what was held out; only one that answers gets requests."""
        asked = await registering.questions(self._workspace, wanted.model)
        async with _step("smoke test", f"{len(asked)} questions", report):
            try:
                for question in asked:
                    message = Message(role="user", content=question)
                    async for _ in self._scoring.chat(wanted.ref.id, [message], TEST):
                        pass
            except (UnavailableError, AuthError) as error:
                raise _kept(wanted.ref, error) from error
            except BackendError as error:
                raise await self._given_up(wanted.ref, error, report) from error

    async def _shift(self, wanted: Wanted, before: dict[str, int], report: Report) -> None:
        """Give the new deployment the requests, at once or in steps with a question between them."""
        name, old = wanted.ref.name, leading(before, besides=wanted.ref.name)
        async with _step("traffic", f"100 % to {name}", report):
            for percent in _shares(wanted.spec, before, name):
                weights = {name: percent, **({old: 100 - percent} if percent < 100 else {})}
                await self._endpoints.share(wanted.ref.endpoint, weights, old)
                if percent < 100:
                    report(Step(name="traffic", state="running", detail=f"{percent} % to {name}"))
                    await self._still_good(wanted, before, report)

    async def _still_good(self, wanted: Wanted, before: dict[str, int], report: Report) -> None:
        message = Message(role="user", content=registering.HELLO)
        try:
            async for _ in self._scoring.chat(wanted.ref.id, [message], TEST):
                pass
        except (UnavailableError, AuthError) as error:
            with contextlib.suppress(UnavailableError, AuthError):  # who cannot be reached changes nothing
                await self._endpoints.share(wanted.ref.endpoint, before)
            raise _kept(wanted.ref, error) from error
        except BackendError as error:
            await self._endpoints.share(wanted.ref.endpoint, before)
            raise await self._given_up(wanted.ref, error, report) from error

    async def _given_up(self, ref: Ref, error: BackendError, report: Report) -> BackendError:
        """Remove a deployment that failed, and say why in one sentence, by its container's own log."""
        lines: list[str] = []
        with contextlib.suppress(BackendError):  # a container that never was has no log
            lines = await self._endpoints.log(ref)
        for line in lines[-SHOWN:]:
            report(Log(line=clean(line)))
        cause = _cause(lines, error)
        try:
            await self._deployments.removed(ref)
        except BackendError as left:
            told = f"{cause.message} It could not be removed and goes on costing: {left.message}"
            return type(cause)(told, "phichat down")
        # Its log went with it.
        return type(cause)(cause.message, ABOVE) if cause.hint.startswith("phichat logs") else cause

    async def _body(self, wanted: Wanted) -> Json:
        top = (await self._workspace.place()).workspace_path
        properties: dict[str, Any] = {
            "endpointComputeType": "Managed",
            "instanceType": wanted.size,
            "model": f"{top}/{wanted.model.path}",
            "environmentId": f"{top}/{container.path(wanted.image)}",
            "requestSettings": REQUESTS,
            "livenessProbe": PROBE,
            "readinessProbe": PROBE,
            "scaleSettings": {"scaleType": "Default"},
            "appInsightsEnabled": False,
            "egressPublicNetworkAccess": "Enabled",
        }
        return {
            "location": (await self._workspace.place()).location,
            "tags": await self._tags(wanted),
            "sku": {"name": "Default", "capacity": 1},
            "properties": properties,
        }

    async def _tags(self, wanted: Wanted) -> dict[str, str]:
        now = time.time()
        tags = {
            "phichat": self._workspace.account.project,
            "phichat-name": wanted.spec.name,
            "phichat-model": wanted.model.title,
            "phichat-version": wanted.model.label,
            MADE: stamp(now),
        }
        if template := await registering.template_of(self._workspace, wanted.model):
            tags["phichat-template"] = template
        if wanted.spec.ttl_hours is not None:
            tags[UNTIL] = stamp(now + wanted.spec.ttl_hours * 3600)
        return tags

    async def _url(self, name: str) -> str:
        found = await self._endpoints.find(name)
        return str(found["properties"].get("scoringUri") or "") if found else ""


def _shares(spec: DeploySpec, before: dict[str, int], name: str) -> list[int]:
    """The percent of the requests that it gets, one after the other: in steps only from another one."""
    steps = STEPS if spec.gradual and leading(before, besides=name) else STEPS[-1:]
    return [percent for percent in steps if percent > before.get(name, 0)]


def _told(shares: list[int]) -> str:
    """The shares as people read them: 10, 50, then 100."""
    *steps, last = shares or STEPS[-1:]
    return f"{', '.join(map(str, steps))}, then {last}" if steps else str(last)


class _Stepping:
    """A step that is being taken."""

    reused = False


@contextlib.asynccontextmanager
async def _step(name: str, detail: str, report: Report) -> AsyncIterator[_Stepping]:
    """Report a step's beginning, and how it ended."""
    report(Step(name=name, state="running", detail=detail))
    step = _Stepping()
    try:
        yield step
    except BackendError as error:
        report(Step(name=name, state="failed", detail=error.message))
        raise
    report(Step(name=name, state="reused" if step.reused else "done", detail=detail))


def _kept(ref: Ref, error: BackendError) -> BackendError:
    """The error of a test that nobody could make: it says nothing about the deployment, which stays."""
    told = f"{error.message} The new deployment {ref.name} is there and costs, but is not tested yet."
    if isinstance(error, AuthError):
        return AuthError(told, error.hint)
    return UnavailableError(told, "Repeat the command: it goes on from there.")


def _cause(lines: list[str], error: BackendError) -> BackendError:
    """Why a deployment failed: what its container said last, else what Azure says."""
    for line in reversed(lines):
        if '"state": "failed"' in line or '"state":"failed"' in line:
            said = clean(line.partition('"detail": "')[2].partition('"')[0]) or clean(line)
            return BackendError(f"The container could not serve the model: {said}", ABOVE)
    known = diagnose("\n".join(lines)) if lines else None
    return type(known)(f"The container failed. {known.message}", known.hint) if known else error
