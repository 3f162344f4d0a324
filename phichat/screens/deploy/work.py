"""What the screen Deploy lets happen in the background; each piece of work says by a message how it went."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from textual.message import Message

from phichat.backends.base import (
    Deployment,
    DeploymentState,
    DeploySpec,
    Estimate,
    Job,
    Resource,
    TrainSpec,
)
from phichat.backends.base import (
    Message as ChatMessage,
)
from phichat.errors import PhichatError
from phichat.events import Reply, Step
from phichat.models import cached, catalogue, resolve
from phichat.runs import Run
from phichat.screens.background import Background, Done
from phichat.screens.session import problem_of, short_name
from phichat.workflow.evaluation import verdict
from phichat.workflow.removing import remove_all

QUESTION = "Say hello in one short sentence."
ANSWER_TOKENS = 32
CHANGE = "change"
"""Work of this kind makes, shifts or removes a deployment: one at a time."""
READ = "read"
"""Work of this kind changes no deployment, and is possible while another one is made."""
LOG_LINES = 500


def title_of(model: Job | str) -> str:
    """A model as it is called while something is done with it."""
    return model.id if isinstance(model, Job) else short_name(model)


@dataclass(frozen=True)
class Candidate:
    """A model that could be deployed."""

    model: Job | str
    name: str
    about: str
    """What it is, in a few words."""


class Seen(Message):
    """What is deployed, what that costs, and what could be deployed."""

    def __init__(
        self,
        states: Sequence[DeploymentState],
        resources: Sequence[Resource],
        candidates: Sequence[Candidate],
    ) -> None:
        super().__init__()
        self.states = states
        self.resources = resources
        self.candidates = candidates


class Priced(Message):
    """What deploying a model would take and cost."""

    def __init__(
        self,
        spec: DeploySpec,
        steps: Sequence[Step],
        estimate: Estimate,
        *,
        displaces: bool,
        then_chat: bool,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.steps = steps
        self.estimate = estimate
        self.displaces = displaces
        """Whether another one answers the requests that it is to get."""
        self.then_chat = then_chat


class Said(Message):
    """What a deployment answered to a test call, or has written."""

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self.title = title
        self.text = text


class Turned(Message):
    """The chats are with another deployment."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__()
        self.deployment = deployment


class Work(Background):
    """What the screen can let happen."""

    def supports(self, method: str) -> bool:
        """Whether the backend has an optional method; nothing is known before the project is open."""
        return self._session.project is not None and self._project.backend.supports(method)

    def look(self) -> None:
        """See what is deployed and what could be."""
        self._do("look", self._look)

    def price(self, model: Job | str, *, then_chat: bool) -> None:
        """See what deploying a model would cost."""
        self._do(CHANGE, self._price, model, then_chat)

    def deploy(self, spec: DeploySpec, *, then_chat: bool) -> None:
        """Make a model answer the chats."""
        self._do(CHANGE, self._deploy, spec, then_chat)

    def stop(self) -> None:
        """Let go of a deployment that is being made or changed."""
        self._drop(CHANGE)

    def use(self, state: DeploymentState) -> None:
        """Let the chats be with a deployment."""
        self._do(READ, self._use, state)

    def delete(self, deployment: Deployment) -> None:
        """Remove a deployment for good."""
        self._do(CHANGE, self._delete, deployment)

    def down(self, resources: Sequence[Resource]) -> None:
        """Stop and delete all of it."""
        self._do(CHANGE, self._down, resources)

    def shift(self, deployment: Deployment, percent: int) -> None:
        """Let a deployment answer so many percent of its endpoint's requests."""
        self._do(CHANGE, self._shift, deployment, percent)

    def shift_gradually(self, deployment: Deployment) -> None:
        """Let a deployment answer 10, 50, then all requests of its endpoint, with a question between."""
        self._do(CHANGE, self._shift_gradually, deployment)

    def rollback(self) -> None:
        """Let the deployment answer again that answered before."""
        self._do(CHANGE, self._rollback)

    def call(self, deployment: Deployment) -> None:
        """Ask a deployment something, to see whether it answers."""
        self._do(READ, self._call, deployment)

    def logs(self, deployment: Deployment) -> None:
        """Read what a deployment has written."""
        self._do(READ, self._logs, deployment)

    async def _look(self) -> None:
        project = self._project
        states = await project.deployments()
        resources = await project.resources() if self.supports("resources") else []
        candidates = await asyncio.to_thread(self._candidates)
        self._tell(Seen(states, resources, candidates))

    def _candidates(self) -> list[Candidate]:
        """The models that were trained here, the newest first; the base model; the catalogue's others."""
        project = self._project
        runs = [
            run
            for run in project.training.ledger.runs()
            if run.state == "succeeded" and run.job and isinstance(run.spec, TrainSpec)
        ]
        found = [
            Candidate(run.job, run.name, self._about(run))
            for run in runs
            if run.job and run.backend == project.config.backend
        ]
        base = project.base_model
        found.append(Candidate(base, short_name(base), "the base model"))
        for alias, entry in catalogue().items():
            if alias != base:
                there = cached(resolve(alias), project.weights) is not None
                where = "on this machine" if there else "not on this machine yet"
                found.append(Candidate(alias, alias, f"{entry.title}, {where}"))
        return found

    def _about(self, run: Run) -> str:
        found = self._project.training.evaluation(run)
        return verdict(found).sentence if found else "trained here"

    async def _price(self, model: Job | str, then_chat: bool) -> None:
        spec = self._project.serving.spec(model)
        estimate = await self._project.estimate(spec)
        self._project.affordable(estimate, spec)
        free = estimate.free and estimate.download_bytes == 0
        steps = [] if free else await self._project.plan(spec)
        displaces = any(step.state == "planned" for step in steps) and await self._displaces(spec)
        self._tell(Priced(spec, steps, estimate, displaces=displaces, then_chat=then_chat))

    async def _displaces(self, spec: DeploySpec) -> bool:
        from phichat.workflow.shifting import displaces

        return self.supports("set_traffic") and displaces(await self._project.deployments(), spec)

    async def _deploy(self, spec: DeploySpec, then_chat: bool) -> None:
        name = title_of(spec.model)
        self._session.working("deploy", f"deploying {name}")
        news, ok = "", True
        try:
            deployment = await self._session.deploy(spec, self._report)
            news = f"{deployment.id} answers the chats now."
        except Exception as error:
            news, ok = problem_of(error, self._session.backend).message, False
            raise
        finally:
            # Whoever is on this screen sees it.
            self._session.ended("deploy", "" if self._screen.is_current else news, ok=ok)
        self._tell(Done(news, then_chat=then_chat))

    async def _use(self, state: DeploymentState) -> None:
        deployment = await self._session.use(state)
        self._tell(Turned(deployment))

    async def _delete(self, deployment: Deployment) -> None:
        await self._project.serving.delete(deployment)
        self._session.lost(deployment)
        self._tell(Done(f"{deployment.id} is gone."))

    async def _down(self, resources: Sequence[Resource]) -> None:
        try:
            await remove_all(resources, lambda each: self._project.remove(each, self._report))
        except PhichatError:
            # What is gone must not be listed; the reason why something is not matters more than the list.
            with contextlib.suppress(PhichatError):
                await self._look()
            raise
        self._tell(Done("Nothing of it is alive any more."))

    async def _shift(self, deployment: Deployment, percent: int) -> None:
        from phichat.workflow.shifting import give

        await give(self._project, deployment, percent, self._report)
        await self._follow()
        share = "all requests" if percent == 100 else f"{percent} % of the requests"
        self._tell(Done(f"{deployment.id} answers {share} now."))

    async def _shift_gradually(self, deployment: Deployment) -> None:
        from phichat.workflow.shifting import gradually

        await gradually(self._project, deployment, self._report)
        await self._follow()
        self._tell(Done(f"{deployment.id} answers all requests now."))

    async def _rollback(self) -> None:
        from phichat.workflow.rollout import rollback

        state = await rollback(self._project, self._report)
        await self._follow()
        self._tell(Done(f"{state.deployment.id} answers all requests again."))

    async def _follow(self) -> None:
        """Let the chats be with the deployment that most requests go to now."""
        if current := await self._project.serving.current():
            self._session.adopt(current[0])

    async def _call(self, deployment: Deployment) -> None:
        options = self._project.chat_options(max_new_tokens=ANSWER_TOKENS)
        question = ChatMessage(role="user", content=QUESTION)
        async with contextlib.aclosing(self._project.chat([question], options, deployment)) as parts:
            async for part in parts:
                if isinstance(part, Reply):
                    took = f"first token after {part.ttft_s:.2f} s, {part.tokens_per_s:.0f} tokens/s"
                    self._tell(
                        Said(f"{deployment.id} answered, {took}", f"“{QUESTION}”\n{part.text.strip()}")
                    )

    async def _logs(self, deployment: Deployment) -> None:
        lines: list[str] = []
        async with contextlib.aclosing(self._project.serving.logs(deployment)) as written:
            async for line in written:
                lines = [*lines[-LOG_LINES:], line]
        self._tell(Said(f"What {deployment.id} has written", "\n".join(lines) or "Nothing."))
