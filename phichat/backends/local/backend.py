"""The backend of this machine: what it can do, each part in a room of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import ClassVar

from phichat.backends import openai
from phichat.backends.base import (
    Access,
    Backend,
    ChatOptions,
    Check,
    Deployment,
    DeploymentState,
    DeploySpec,
    Estimate,
    EvalSpec,
    Job,
    Message,
    Report,
    Resource,
    Settings,
    TrainSpec,
    Usage,
)
from phichat.backends.local import checks
from phichat.backends.local.serving import Serving
from phichat.backends.local.settings import LocalSettings
from phichat.backends.local.training import Training
from phichat.errors import BackendError, UnavailableError
from phichat.events import Event, Step
from phichat.paths import user_folders


class LocalBackend(Backend[LocalSettings]):
    """Trains and serves models in processes that outlive the application and are found again."""

    title: ClassVar[str] = "This machine"
    settings_type: ClassVar[type[Settings]] = LocalSettings

    def __init__(self, settings: LocalSettings, workdir: Path) -> None:
        super().__init__(settings, workdir)
        self._cache = user_folders().cache
        self._training = Training(settings, workdir, self._cache)
        self._serving = Serving(settings, workdir, self._cache, self._training.model)

    async def check(self) -> list[Check]:
        placed = [checks.device(self.settings.device)] if self.settings.device != "auto" else []
        return [checks.packages(), *placed, checks.memory(), checks.disk(self._cache)]

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        return await self._training.submit(spec, report)

    def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        return self._training.jobs.watch(job.id)

    async def cancel(self, job: Job) -> None:
        await self._training.jobs.cancel(job.id)

    async def fetch(self, job: Job, directory: Path, report: Report) -> Path:
        return await self._training.fetch(job.id, directory, report)

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        if isinstance(spec, TrainSpec):
            return await asyncio.to_thread(self._training.estimate, spec)
        return await asyncio.to_thread(self._serving.estimate, spec.model)

    async def plan(self, spec: TrainSpec | DeploySpec | None) -> list[Step]:
        if spec is None:
            return []
        if isinstance(spec, DeploySpec):
            return await asyncio.to_thread(self._serving.steps, spec)
        return [
            await asyncio.to_thread(self._serving.model_step, spec.base_model),
            await asyncio.to_thread(self._training.job_step, spec.name),
        ]

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        """Start the model's server, or find it; one that serves another model is replaced."""
        try:
            return await self._serving.deploy(spec, report)
        except BackendError as error:
            # PyTorch says that there is no such processor, but not what to do about it.
            error.hint = error.hint or checks.device(self.settings.device).fix
            raise

    async def deployments(self) -> list[DeploymentState]:
        return await self._serving.states()

    async def delete(self, deployment: Deployment) -> None:
        await self._serving.delete(deployment.id)

    async def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        """The answer of the deployment's server, which is started again if it had stopped."""
        for attempt in (1, 2):
            access = await self._serving.access(deployment.id)
            said = False
            try:
                async with contextlib.aclosing(openai.stream_chat(access, messages, options)) as parts:
                    async for part in parts:
                        said = True
                        yield part
                return
            except UnavailableError:
                # It may have stopped, being idle, between the look and the question.
                if said or attempt == 2 or not await self._serving.stopped(deployment.id):
                    raise

    async def access(self, deployment: Deployment) -> Access:
        return await self._serving.access(deployment.id)

    def logs(self, what: Job | Deployment) -> AsyncGenerator[str, None]:
        return self._training.jobs.log(what.id) if isinstance(what, Job) else self._serving.log(what.id)

    async def resources(self) -> list[Resource]:
        return [*await asyncio.to_thread(self._training.resources), *await self._serving.resources()]

    async def remove(self, resource: Resource, report: Report) -> None:
        report(Step(name=resource.name, state="running", detail="stopping"))
        if resource.kind == "job":
            await self._training.jobs.cancel(resource.name)
        else:
            await self._serving.delete(resource.name)
        report(Step(name=resource.name, state="done", detail="stopped"))
