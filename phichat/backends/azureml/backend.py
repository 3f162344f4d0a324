"""The backend of Azure Machine Learning: what it can do, each part in a room of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import ClassVar

from phichat.backends.azureml.account import Account, project_of
from phichat.backends.azureml.settings import AzureMLSettings
from phichat.backends.base import (
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
    Settings,
    TrainSpec,
    Usage,
)
from phichat.events import Event, Step


class AzureMLBackend(Backend[AzureMLSettings]):
    """Trains on a cluster of Azure Machine Learning: the cloud is the truth, this process only asks it."""

    title: ClassVar[str] = "Azure Machine Learning"
    settings_type: ClassVar[type[Settings]] = AzureMLSettings

    def __init__(self, settings: AzureMLSettings, workdir: Path) -> None:
        super().__init__(settings, workdir)
        self.account = Account(settings, project_of(workdir))

    async def check(self) -> list[Check]:
        return await self.account.check()

    async def sign_in(self, report: Report) -> bool:
        return await self.account.with_code(report)

    async def plan(self, spec: TrainSpec | DeploySpec | None) -> list[Step]:
        if spec is None:
            return await self.account.plan()
        return [Step(name=spec.name, state="planned", detail=f"in the workspace {self.settings.workspace}")]

    async def provision(self, report: Report) -> None:
        await self.account.provision(report)

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        return await self.account.estimate(spec)

    async def aclose(self) -> None:
        self.account.close()

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        self._unsupported("train a model")

    def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        self._unsupported("watch a job")

    async def cancel(self, job: Job) -> None:
        self._unsupported("cancel a job")

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        self._unsupported("deploy a model")

    async def deployments(self) -> list[DeploymentState]:
        return []

    async def delete(self, deployment: Deployment) -> None:
        self._unsupported("delete a deployment")

    def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        self._unsupported("chat with a deployment")
