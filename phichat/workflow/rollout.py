"""Which deployment of an endpoint answers: shares of its requests, the way back, and what is kept for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from phichat.backends.base import DeploymentState, Report
from phichat.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from phichat.workflow.project import Project


async def shift(project: Project, weights: Mapping[str, int], report: Report) -> None:
    """Share an endpoint's requests among deployments, named by their id or the last part of it.

    Raises:
        ConfigError: a name is unknown, or they belong to several endpoints.
        BackendError: the shares are not 100 % together.
    """
    states = await project.deployments()
    chosen = {_named(states, name): percent for name, percent in weights.items()}
    endpoints = {state.endpoint for state in states if state.deployment.id in chosen}
    if len(endpoints) != 1:
        told = "These deployments belong to several endpoints."
        raise ConfigError(told, "Share the requests of one endpoint at a time.")
    await project.serving.set_traffic(endpoints.pop(), chosen, report)
    leading = max(chosen, key=lambda name: chosen[name])
    await project.serving.use(next(state for state in states if state.deployment.id == leading))


async def rollback(project: Project, report: Report) -> DeploymentState:
    """Give all requests back to the deployment that answered before; it is the current one then.

    Raises:
        NotFoundError: there is none.
    """
    states = await project.deployments()
    serving = await project.serving.current()
    mine = {state.endpoint for state in states if serving and state.deployment.id == serving[0].id}
    before = [state for state in states if state.previous and state.healthy]
    chosen = next((state for state in before if state.endpoint in mine), before[0] if before else None)
    if chosen is None:
        raise NotFoundError("There is no earlier deployment to go back to.", "phichat deploy")
    await project.serving.set_traffic(chosen.endpoint, {chosen.deployment.id: 100}, report)
    await project.serving.use(chosen)
    return chosen


async def old(project: Project) -> list[DeploymentState]:
    """The deployments that get no requests, but cost; only where another one of the endpoint gets them."""
    states = await project.deployments()
    answering = {state.endpoint for state in states if state.endpoint and state.traffic}
    return [state for state in states if state.endpoint in answering and not state.traffic]


def _named(states: Sequence[DeploymentState], name: str) -> str:
    found = [state.deployment.id for state in states if state.endpoint]
    matching = [each for each in found if name in (each, each.rpartition("/")[2])]
    if len(matching) != 1:
        hint = f"There are: {', '.join(found)}." if found else "phichat deploy"
        raise ConfigError(f"No deployment with requests to share is called {name!r}.", hint)
    return matching[0]
