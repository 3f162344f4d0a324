"""Backends that break a promise about what they could have done without."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from phichat_markov import Markov

from phichat.backends.base import (
    Access,
    Deployment,
    DeploySpec,
    Estimate,
    Job,
    Report,
    Resource,
    TrainSpec,
)
from phichat.events import Step
from tests.plugins.variants import broken

ALIVE = "test_resources_list_what_is_alive"


@broken("test_what_is_not_supported_says_so", "leave it to Backend")
class UnsupportedInSilence(Markov):
    def _unsupported(self, verb: str) -> Any:
        """Say nothing."""


@broken("test_plan_changes_nothing", "only look")
class PlanThatDeploys(Markov):
    async def plan(self, spec: TrainSpec | DeploySpec | None) -> list[Step]:
        assert isinstance(spec, DeploySpec)
        await self.deploy(spec, lambda event: None)
        return [Step(name="model", state="planned")]


@broken("test_plan_changes_nothing", "a plan has only planned or reused steps")
class PlanInThePast(Markov):
    async def plan(self, spec: TrainSpec | DeploySpec | None) -> list[Step]:
        return [Step(name="model", state="done")]


@broken("test_estimate_names_its_source", "say where the numbers come from")
class EstimateFromNowhere(Markov):
    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        return Estimate(usd=(1, 2))


@broken("test_estimate_names_its_source", "the lower end comes first")
class EstimateBackwards(Markov):
    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        return Estimate(usd=(2, 1), source="a list of prices")


@broken("test_logs_are_lines", "one line at a time")
class LogsInOnePiece(Markov):
    async def logs(self, what: Job | Deployment) -> AsyncGenerator[str, None]:
        yield "one\ntwo\n"


@broken("test_fetch_brings_the_model", "return the one folder that then holds the model")
class FetchOfNothing(Markov):
    async def fetch(self, job: Job, directory: Path, report: Report) -> Path:
        return directory


@broken(ALIVE, "lists nothing new after deploy()")
class NothingAlive(Markov):
    async def resources(self) -> list[Resource]:
        return []

    async def remove(self, resource: Resource, report: Report) -> None:
        pass


@broken(ALIVE, "stop and delete it")
class RemoveThatDoesNothing(Markov):
    async def resources(self) -> list[Resource]:
        return [
            Resource(kind="chain", name=state.deployment.id, state="serving")
            for state in await self.deployments()
        ]

    async def remove(self, resource: Resource, report: Report) -> None:
        pass


@broken("test_access_lets_an_openai_client_in", "nobody answers")
class AccessToNowhere(Markov):
    async def access(self, deployment: Deployment) -> Access:
        return Access(base_url="http://127.0.0.1:9/v1", key="secret")
