"""What a project has deployed, and which deployment answers its chats."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path

from phichat import models
from phichat.backends.base import (
    Access,
    AnyBackend,
    Deployment,
    DeploymentState,
    DeploySpec,
    Estimate,
    Job,
    Report,
    Value,
)
from phichat.config import Config
from phichat.errors import ConfigError, NotFoundError, UnavailableError
from phichat.events import unheard
from phichat.paths import write_atomic
from phichat.workflow import lifetimes
from phichat.workflow.guard import Guard
from phichat.workflow.money import affordable
from phichat.workflow.training import Training, offer_token


class _Current(Value):
    """The deployment that was made last on a backend, and what for."""

    base_model: str
    spec: DeploySpec
    deployment: Deployment


class Serving:
    """What is deployed on one backend, and the current deployment: the one that answers the chats."""

    def __init__(
        self,
        config: Config,
        state: Path,
        guard: Guard,
        backend: Callable[[], AnyBackend],
        training: Training,
        estimate: Callable[[DeploySpec], Awaitable[Estimate]],
    ) -> None:
        self._config = config
        self._base_model = config.base_model or models.DEFAULT
        # One for each backend: who switches to another one and back finds what was there.
        self._current_file = state / "current" / f"{config.backend}.json"
        self._turning_file = state / "current" / f"{config.backend}.turning"
        self.lifetimes = lifetimes.Lifetimes(state / lifetimes.FOLDER / f"{config.backend}.json")
        self._guard = guard
        self._backend = backend
        self._training = training
        self._estimate = estimate

    def spec(self, model: Job | str | None = None, name: str | None = None) -> DeploySpec:
        """What `deploy` would make, as configured under `[deploy]`; to ask for its plan and its price.

        Raises:
            ConfigError: the model's name is not one.
        """
        model = model or self._base_model
        if isinstance(model, str):
            models.resolve(model)
        deploy = self._config.deploy
        return DeploySpec(
            name=name or deploy.endpoint or _label(model),
            model=model,
            endpoint=deploy.endpoint,
            size=deploy.size,
            ttl_hours=deploy.ttl_hours,
            gradual=deploy.gradual,
        )

    async def deployable(self, name: str | None = None) -> Job | str:
        """What a person means to deploy: a run or a model by its name.

        Without a name it is the newest run of the base model that succeeded; where there is none, the base
        model itself.

        Raises:
            ConfigError: nothing is called so.
        """
        if name is None:
            run = await self._training.newest_success(self._base_model)
        else:
            run = next((each for each in self._training.ledger.runs() if each.name == name), None)
        if run is not None:
            return self._training.job(run)
        if name is not None:
            self._refuse_typing_mistake(name)
        return name or self._base_model

    def _refuse_typing_mistake(self, name: str) -> None:
        """Refuse what is no model, but nearly the name of a run."""
        try:
            models.resolve(name)
        except ConfigError as error:
            runs = [run.name for run in self._training.ledger.runs()]
            if near := difflib.get_close_matches(name, runs, n=1):
                raise ConfigError(error.message, f"Did you mean the run {near[0]}?") from error
            raise

    async def deploy(self, spec: DeploySpec, report: Report, max_usd: float | None = None) -> Deployment:
        """Make a model answer chats; it is the current deployment then.

        Raises:
            QuotaError: it may cost more than `max_usd`, or than what is left of the budget.
        """
        price: float | None = None
        if max_usd is not None or self._training.purse.budget is not None:
            estimate = await self._estimate(spec)
            affordable(estimate, spec, max_usd=max_usd, spending=self._training.purse.spending())
            price = estimate.usd_per_hour
        deployment = await self.beside(spec, report)
        await self._remember(spec, deployment)
        if spec.ttl_hours is not None or price:
            await self.states()
            await asyncio.to_thread(self._training.purse.deployed.rated, {deployment.id: price})
        return deployment

    async def beside(self, spec: DeploySpec, report: Report) -> Deployment:
        """Make a model answer beside the current deployment, which stays the current one."""
        await offer_token(spec.model)
        return await self._guard.call(self._backend().deploy(spec, report))

    async def ready(self, report: Report = unheard) -> Deployment:
        """The current deployment, able to answer; made now if there is none and making it is free.

        Raises:
            NotFoundError: nothing is deployed, and deploying costs money.
        """
        deployed, spec = await self._wanted()
        if deployed is not None:
            return deployed
        if not (await self._estimate(spec)).free:
            raise NotFoundError("Nothing is deployed yet.", "phichat deploy")
        return await self.deploy(spec, report)

    async def model_size(self) -> int | None:
        """Bytes to download before a question can be answered; 0 when nothing, None when unknown."""
        deployed, spec = await self._wanted()
        return 0 if deployed else (await self._estimate(spec)).download_bytes

    async def states(self) -> list[DeploymentState]:
        """What exists, healthy or not."""
        states = await self._guard.call(self._backend().deployments())
        await asyncio.to_thread(self.lifetimes.seen, states)
        await asyncio.to_thread(self._training.purse.deployed.seen, states)
        return states

    async def current(self) -> tuple[Deployment, Job | str] | None:
        """The current deployment and the model that it serves; None where there is none, or not any more."""
        current = await asyncio.to_thread(self._current)
        if current is None:
            return None
        there = {state.deployment.id for state in await self.states()}
        return (current.deployment, current.spec.model) if current.deployment.id in there else None

    @property
    def model(self) -> str:
        """The model whose answers the chats are: of the current deployment, or the base model."""
        current = self._current()
        return _named(current.spec.model) if current else self._base_model

    @property
    def answering(self) -> str:
        """The id of the deployment that the chats go to, if it still exists; empty where none was chosen."""
        current = self._current()
        return current.deployment.id if current else ""

    def model_of(self, deployment: Deployment) -> str | None:
        """The model that a deployment serves; known of the current one."""
        current = self._current()
        return _named(current.spec.model) if current and current.deployment.id == deployment.id else None

    async def use(self, state: DeploymentState) -> Deployment:
        """Let an existing deployment answer the chats from now on; it is the current one then."""
        jobs = {run.job.id: run.job for run in self._training.ledger.runs() if run.job}
        model = jobs.get(state.model) or state.model or state.deployment.id
        spec = DeploySpec(name=state.deployment.id, model=model, endpoint=self._config.deploy.endpoint)
        await self._remember(spec, state.deployment)
        return state.deployment

    async def turning(self, deployment: Deployment) -> None:
        """Keep that all requests are about to go to a deployment, until `use` says that they do."""
        await asyncio.to_thread(write_atomic, self._turning_file, deployment.id)

    async def turned(self) -> str:
        """The id of the deployment that requests were to go to when somebody was interrupted; or empty."""
        try:
            return await asyncio.to_thread(self._turning_file.read_text, encoding="utf-8")
        except FileNotFoundError:
            return ""

    async def set_traffic(self, endpoint: str, weights: Mapping[str, int], report: Report) -> None:
        """Share an endpoint's requests among its deployments, in percent; see `phichat.workflow.rollout`."""
        await self._guard.call(self._backend().set_traffic(endpoint, weights, report))

    def logs(self, deployment: Deployment) -> AsyncGenerator[str, None]:
        """The lines that a deployment has written so far."""
        return self._guard.stream(self._backend().logs(deployment))

    async def access(self, deployment: Deployment | None = None) -> Access:
        """Base URL and key of a deployment for other clients; of the current one if none is named."""
        return await self._guard.call(self._backend().access(deployment or await self.ready()))

    async def delete(self, deployment: Deployment) -> None:
        """Remove a deployment for good; one that is gone already is no error."""
        await self._guard.call(self._backend().delete(deployment))
        await self.gone(deployment.id)

    async def gone(self, name: str) -> None:
        """Keep that a deployment was removed, or an endpoint with all of its own."""
        await asyncio.to_thread(self.lifetimes.gone, name)
        await asyncio.to_thread(self._training.purse.deployed.gone, name)

    async def _wanted(self) -> tuple[Deployment | None, DeploySpec]:
        """The current deployment if it is able to answer, and what to deploy if it is not.

        Raises:
            UnavailableError: it is not, and others would have to mend it.
        """
        current = self._current()
        if current is not None:
            there = {state.deployment.id: state for state in await self.states()}
            known = there.get(current.deployment.id)
            if known is not None and known.foreign and not known.healthy:
                told = f"{known.deployment.id}, which others have made, cannot answer: {known.detail}."
                raise UnavailableError(told, "Choose another one: phichat chat --deployment NAME")
            if known is not None:
                return known.deployment if known.healthy else None, current.spec
        return None, self.spec()

    async def _remember(self, spec: DeploySpec, deployment: Deployment) -> None:
        current = _Current(base_model=self._base_model, spec=spec, deployment=deployment)
        await asyncio.to_thread(write_atomic, self._current_file, current.model_dump_json())
        await asyncio.to_thread(self._turning_file.unlink, missing_ok=True)

    def _current(self) -> _Current | None:
        """The deployment made last on this backend, if the config still asks for the same model."""
        try:
            current = _Current.model_validate_json(self._current_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return current if current.base_model == self._base_model else None


def _named(model: Job | str) -> str:
    return model.id if isinstance(model, Job) else model


def _label(model: Job | str) -> str:
    """A model's own name, made legal as the name of a deployment."""
    if isinstance(model, Job):
        label = model.id
    else:
        ref = models.resolve(model)
        label = ref.folder.name if ref.folder else ref.name
    return re.sub(r"[^a-z0-9.-]+", "-", label.lower()).strip("-.")[:32]
