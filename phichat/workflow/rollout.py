"""Which deployment answers: shares of an endpoint's requests, the way back, and what is kept for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from phichat.backends.base import Deployment, DeploymentState, Report
from phichat.errors import ConfigError, NotFoundError, UnsupportedError

if TYPE_CHECKING:
    from phichat.workflow.project import Project

CHOOSE = "Let another one answer the chats: phichat deploy RUN|MODEL; a single one: chat --deployment NAME"
"""What to do where deployments share no requests."""


async def named(project: Project, name: str) -> Deployment:
    """The deployment that a person means: by its id, the last part of it, or its endpoint where that has one.

    Raises:
        ConfigError: none is called so, or several are.
    """
    states = await project.deployments()
    ids = [state.deployment.id for state in states]
    exact = [state for state in states if state.deployment.id == name]
    found = exact or [
        state for state in states if name in (state.deployment.id.rpartition("/")[2], state.endpoint)
    ]
    # Of one endpoint the one that answers is meant.
    found = found if len(found) < 2 else [state for state in found if state.traffic == 100]
    if len(found) != 1:
        raise ConfigError(f"No deployment is called {name!r}.", f"There are: {', '.join(ids) or 'none'}.")
    return found[0].deployment


async def state_of(project: Project, deployment: Deployment) -> DeploymentState:
    """A deployment as it is now.

    Raises:
        NotFoundError: it is gone.
    """
    for state in await project.deployments():
        if state.deployment.id == deployment.id:
            return state
    raise NotFoundError(f"The deployment {deployment.id} is gone.", "phichat status")


async def shift(project: Project, weights: Mapping[str, int], report: Report) -> None:
    """Share an endpoint's requests among deployments, named by their id or the last part of it.

    Raises:
        UnsupportedError: the backend shares no requests.
        ConfigError: a name is unknown, or they belong to several endpoints.
        BackendError: the shares are not 100 % together.
    """
    _sharing(project)
    states = await _ours(project)
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

    One that was interrupted is finished by the next: it does not go back and forth.

    Raises:
        UnsupportedError: the backend shares no requests.
        NotFoundError: there is none.
    """
    _sharing(project)
    states = await _ours(project)
    serving = await project.serving.current()
    mine = {state.endpoint for state in states if serving and state.deployment.id == serving[0].id}
    before = [state for state in states if state.previous and state.healthy]
    begun = await project.serving.turned()
    chosen = next((state for state in states if state.deployment.id == begun and state.healthy), None)
    chosen = chosen or next((state for state in before if state.endpoint in mine), None)
    chosen = chosen or (before[0] if before else None)
    if chosen is None:
        raise NotFoundError("There is no earlier deployment to go back to.", "phichat deploy")
    await project.serving.turning(chosen.deployment)
    await project.serving.set_traffic(chosen.endpoint, {chosen.deployment.id: 100}, report)
    await project.serving.use(chosen)
    return chosen


async def old(project: Project) -> list[DeploymentState]:
    """The deployments that get no requests, but cost; only where another one of the endpoint gets them."""
    states = await _ours(project)
    answering = {state.endpoint for state in states if state.endpoint and state.traffic}
    return [state for state in states if state.endpoint in answering and not state.traffic]


def _sharing(project: Project) -> None:
    """See that deployments share requests there.

    Raises:
        UnsupportedError: each has an address of its own.
    """
    if not project.backend.supports("set_traffic"):
        raise UnsupportedError(f"{project.backend.title} shares no requests among deployments.", CHOOSE)


async def _ours(project: Project) -> list[DeploymentState]:
    """The deployments that this project may change."""
    return [state for state in await project.deployments() if not state.foreign]


def _named(states: Sequence[DeploymentState], name: str) -> str:
    found = [state.deployment.id for state in states if state.endpoint]
    matching = [each for each in found if name in (each, each.rpartition("/")[2])]
    if len(matching) != 1:
        hint = f"There are: {', '.join(found)}." if found else "phichat deploy"
        raise ConfigError(f"No deployment with requests to share is called {name!r}.", hint)
    return matching[0]
