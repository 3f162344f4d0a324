"""Backends that break a promise about deployments."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from phichat_markov import Markov, read

from phichat.backends.base import ChatOptions, Deployment, DeploymentState, DeploySpec, Message, Report, Usage
from phichat.errors import BackendError, NotFoundError
from phichat.events import Step
from tests.plugins.variants import block, broken

REPORTS = "test_deploy_reports_steps"
REFUSES = "test_deploy_refuses_a_missing_model"
DEPLOYING = "test_deploying_leaves_the_event_loop_free"


@broken(DEPLOYING, "deploy() held up the event loop")
class BlockingDeploy(Markov):
    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        block()
        return await super().deploy(spec, report)


@broken(DEPLOYING, "deployments() held up the event loop")
class BlockingDeployments(Markov):
    async def deployments(self) -> list[DeploymentState]:
        block()
        return await super().deployments()


@broken(REPORTS, "reported no Step")
class DeployWithoutSteps(Markov):
    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        return await super().deploy(spec, lambda event: None)


@broken(REPORTS, "left the step 'server' running")
class StepWithoutEnd(Markov):
    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        report(Step(name="server", state="running"))
        return await super().deploy(spec, report)


class Coloured(Step):
    """An event of the plugin's own."""

    colour: str = "red"


@broken(REPORTS, "does not come back from JSON")
class StepsOfItsOwn(Markov):
    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        report(Coloured(name="server", state="done"))
        return await super().deploy(spec, report)


@broken("test_deploy_is_idempotent", "return the deployment of that name")
class TwoDeploymentsOfOneName(Markov):
    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        name = f"{spec.name}-{secrets.token_hex(3)}"
        return await super().deploy(spec.model_copy(update={"name": name}), report)


@broken("test_deploy_is_idempotent", "list every deployment once")
class ListedTwice(Markov):
    async def deployments(self) -> list[DeploymentState]:
        return 2 * await super().deployments()


@broken("test_a_new_process_finds_the_deployment", "keep what has to be remembered in workdir")
class DeploymentsInMemory(Markov):
    known: set[str] = set()

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        self.known.add(spec.name)
        return await super().deploy(spec, report)

    async def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        if deployment.id not in self.known:
            raise NotFoundError(f"There is no deployment {deployment.id!r}.")
        async for part in super().chat(deployment, messages, options):
            yield part


@broken("test_deployments_are_healthy", "wait in deploy() until it answers")
class NeverHealthy(Markov):
    async def deployments(self) -> list[DeploymentState]:
        return [state.model_copy(update={"healthy": False}) for state in await super().deployments()]


@broken(REFUSES, "deploy() was given something that does not exist and accepted it")
class MissingModelAccepted(Markov):
    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        try:
            return await super().deploy(spec, report)
        except NotFoundError:
            return Deployment(id=spec.name)


@broken(REFUSES, "deploy() was given something that does not exist and raised BackendError")
class MissingModelMisnamed(Markov):
    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        try:
            return await super().deploy(spec, report)
        except NotFoundError as error:
            raise BackendError("It did not work.") from error


@broken(REFUSES, "look for the model first")
class RefusalLeavesRuins(Markov):
    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file(spec.name).touch()
        return await super().deploy(spec, report)


@broken("test_deploy_can_be_interrupted", "deploy() raised BackendError")
class InterruptedForGood(Markov):
    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        marker = self.workdir / f"{spec.name}.deploying"
        if marker.exists():
            raise BackendError(f"{spec.name!r} is being deployed already.")
        marker.touch()
        deployment = await super().deploy(spec, report)
        marker.unlink()
        return deployment


@broken("test_delete_is_idempotent", "delete() raised NotFoundError")
class DeleteOnlyOnce(Markov):
    async def delete(self, deployment: Deployment) -> None:
        if not self.file(deployment.id).exists():
            raise NotFoundError(f"There is no deployment {deployment.id!r}.")
        await super().delete(deployment)


@broken("test_delete_is_final", "answering")
class DeleteThatLeavesItServing(Markov):
    models: dict[str, Any] = {}

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        deployment = await super().deploy(spec, report)
        self.models[deployment.id] = json.loads(read(self.file(deployment.id)))
        return deployment

    async def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        if deployment.id not in self.models:
            raise NotFoundError(f"There is no deployment {deployment.id!r}.")
        yield "Still here."
        yield Usage(prompt_tokens=1, completion_tokens=2, finish_reason="stop")


@broken("test_delete_is_final", "remove it there as well")
class DeleteThatLeavesItListed(Markov):
    async def delete(self, deployment: Deployment) -> None:
        self.file(deployment.id).rename(self.folder / f"{deployment.id}.deleted")

    async def deployments(self) -> list[DeploymentState]:
        gone = [
            DeploymentState(deployment=Deployment(id=file.stem), healthy=False)
            for file in self.folder.glob("*.deleted")
        ]
        return gone + await super().deployments()
