"""The backend of Azure Machine Learning: what it can do, each part in a room of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar

from phichat.backends.azureml.settings import AzureMLSettings
from phichat.backends.base import (
    Backend,
    ChatOptions,
    Check,
    Deployment,
    DeploymentState,
    DeploySpec,
    EvalSpec,
    Job,
    Message,
    Report,
    Settings,
    TrainSpec,
    Usage,
)
from phichat.events import Event


class AzureMLBackend(Backend[AzureMLSettings]):
    """Trains on a cluster of Azure Machine Learning: the cloud is the truth, this process only asks it."""

    title: ClassVar[str] = "Azure Machine Learning"
    settings_type: ClassVar[type[Settings]] = AzureMLSettings

    async def check(self) -> list[Check]:
        return []

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
