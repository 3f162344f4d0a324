"""The backend of Azure Machine Learning: what it can do, each part in a room of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from phichat.backends.azureml import alive, fetching
from phichat.backends.azureml.account import Account, project_of
from phichat.backends.azureml.deploying import Deploying
from phichat.backends.azureml.deployments import Deployments
from phichat.backends.azureml.jobs import Jobs
from phichat.backends.azureml.scoring import Scoring
from phichat.backends.azureml.settings import AzureMLSettings
from phichat.backends.azureml.watching import Watching
from phichat.backends.azureml.workspace import Workspace
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
from phichat.errors import BackendError
from phichat.events import Event, Step


class AzureMLBackend(Backend[AzureMLSettings]):
    """Trains on a cluster of Azure Machine Learning: the cloud is the truth, this process only asks it."""

    title: ClassVar[str] = "Azure Machine Learning"
    settings_type: ClassVar[type[Settings]] = AzureMLSettings

    def __init__(self, settings: AzureMLSettings, workdir: Path) -> None:
        super().__init__(settings, workdir)
        self.account = Account(settings, project_of(workdir))
        self._workspace = Workspace(self.account)
        self._jobs = Jobs(self._workspace, workdir)
        self._watching = Watching(self._workspace, self._jobs, workdir)
        self._scoring = Scoring(self._workspace, workdir)
        self._deployments = Deployments(self._workspace, workdir)
        self._deploying = Deploying(self._workspace, self._jobs, self._scoring, self._deployments)

    async def check(self) -> list[Check]:
        return await self.account.check()

    async def sign_in(self, report: Report) -> bool:
        return await self.account.with_code(report)

    async def plan(self, spec: TrainSpec | DeploySpec | None) -> list[Step]:
        if spec is None:
            return await self.account.plan()
        if isinstance(spec, DeploySpec):
            return await self._deploying.plan(spec)
        return await self._jobs.plan(spec)

    async def provision(self, report: Report) -> None:
        await self.account.provision(report)

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        base = ""
        if isinstance(spec, DeploySpec) and isinstance(spec.model, Job):
            with contextlib.suppress(BackendError):  # a price needs no sign-in
                base = (await self._jobs.attempts(spec.model.id))[-1].tags.get("phichat-base", "")
        return await self.account.estimate(spec, base)

    async def resources(self) -> list[Resource]:
        return [*await alive.serving(self._workspace), *await alive.clusters(self._workspace)]

    async def remove(self, resource: Resource, report: Report) -> None:
        await alive.remove(self._workspace, resource, report)

    async def aclose(self) -> None:
        self._watching.close()
        self.account.close()

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        return await self._jobs.submit(spec, report)

    def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        return self._watching.watch(job.id)

    async def cancel(self, job: Job) -> None:
        await self._jobs.cancel(job.id)

    async def fetch(self, job: Job, directory: Path, report: Report) -> Path:
        return await fetching.fetch(self._workspace, self._jobs, job.id, directory, report)

    async def logs(self, what: Job | Deployment) -> AsyncGenerator[str, None]:
        if isinstance(what, Deployment):
            for line in await self._deployments.log(what.id):
                yield line
            return
        async with contextlib.aclosing(self._watching.logs(what.id)) as lines:
            async for line in lines:
                yield line

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        return await self._deploying.deploy(spec, report)

    async def deployments(self) -> list[DeploymentState]:
        return await self._deployments.states()

    async def delete(self, deployment: Deployment) -> None:
        await self._deployments.delete(deployment.id)

    async def set_traffic(self, endpoint: str, weights: Mapping[str, int], report: Report) -> None:
        await self._deployments.set_traffic(endpoint, weights, report)

    def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        return self._scoring.chat(deployment.id, messages, options)

    async def access(self, deployment: Deployment) -> Access:
        return await self._scoring.access(deployment.id)
