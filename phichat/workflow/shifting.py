"""Giving a deployment more of its endpoint's requests: some, or all in steps with a question between."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from phichat.backends.base import Deployment, DeploymentState, DeploySpec, Message, Report
from phichat.errors import BackendError, NotFoundError
from phichat.events import Step
from phichat.workflow import rollout

if TYPE_CHECKING:
    from phichat.workflow.project import Project

STEPS = (10, 50, 100)
"""Percent of the requests, one after the other."""
HELLO = "Hello! Who are you?"


def shares(states: Sequence[DeploymentState], deployment: str, percent: int) -> Mapping[str, int]:
    """The shares with which a deployment has so many percent, and of the others the largest has the rest.

    Raises:
        NotFoundError: it is not there, or nobody else could answer the rest.
    """
    mine = next((state for state in states if state.deployment.id == deployment), None)
    if mine is None:
        raise NotFoundError(f"There is no deployment {deployment!r} any more.", "phichat status")
    if percent == 100:
        return {deployment: 100}
    others = [state for state in states if state.endpoint == mine.endpoint and state is not mine]
    rest = max((state for state in others if state.healthy), key=lambda state: state.traffic, default=None)
    if rest is None:
        raise NotFoundError(
            f"No other deployment of {mine.endpoint} could answer the rest.", "phichat status"
        )
    return {deployment: percent, rest.deployment.id: 100 - percent}


def displaces(states: Sequence[DeploymentState], spec: DeploySpec) -> bool:
    """Whether another deployment answers on the endpoint where a new one is to; then it has a choice how."""
    sharing = (state for state in states if state.endpoint and not state.foreign)
    theirs = (state for state in sharing if spec.endpoint in ("", state.endpoint))
    return any(state.traffic and state.healthy for state in theirs)


async def give(project: Project, deployment: Deployment, percent: int, report: Report) -> None:
    """Give a deployment so many percent of its endpoint's requests; see `shares`."""
    await rollout.shift(project, shares(await project.deployments(), deployment.id, percent), report)


async def gradually(project: Project, deployment: Deployment, report: Report) -> None:
    """Give a deployment 10, 50, then all requests, and ask it something between; the chats are with it then.

    Raises:
        BackendError: it did not answer; the requests go where they went.
    """
    states = await project.deployments()
    mine = next((state for state in states if state.deployment.id == deployment.id), None)
    before = {
        state.deployment.id: state.traffic for state in states if mine and state.endpoint == mine.endpoint
    }
    for percent in STEPS:
        if mine is None or percent > mine.traffic:
            await give(project, deployment, percent, report)
            if percent < 100:
                try:
                    await _ask(project, deployment, f"at {percent} %", report)
                except BackendError:
                    await rollout.shift(project, before, report)
                    raise


async def _ask(project: Project, deployment: Deployment, name: str, report: Report) -> None:
    options = project.chat_options(max_new_tokens=16, temperature=0)
    step = Step(name=f"question {name}", state="running", detail=HELLO)
    report(step)
    try:
        messages = [Message(role="user", content=HELLO)]
        async with contextlib.aclosing(project.chat(messages, options, deployment)) as parts:
            async for _ in parts:
                pass
    except BackendError:
        report(step.model_copy(update={"state": "failed"}))
        raise
    report(step.model_copy(update={"state": "done"}))
