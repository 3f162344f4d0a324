"""What is alive on Azure and what it costs an hour: the nodes of the project's clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phichat.backends.azureml.compute import API
from phichat.backends.base import Resource
from phichat.errors import BackendError, NotFoundError
from phichat.events import Step

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Json
    from phichat.backends.azureml.workspace import Workspace
    from phichat.backends.base import Report


async def clusters(workspace: Workspace) -> list[Resource]:
    """The clusters that this project has made; one without nodes costs nothing, and is listed too."""
    account = workspace.account
    try:
        await workspace.look()
    except NotFoundError:
        return []
    found = await account.arm.all(await workspace.path("computes"), API, "list the clusters")
    ours = [each for each in found if (each.get("tags") or {}).get("phichat") == account.project]
    return [await _resource(workspace, each) for each in ours]


async def remove(workspace: Workspace, resource: Resource, report: Report) -> None:
    """Delete a cluster, and with it whatever runs there; the models and data in the workspace stay.

    Raises:
        NotFoundError: it is something else.
    """
    if resource.kind != "cluster":
        raise NotFoundError(f"There is no {resource.kind} {resource.name!r} on Azure.", "phichat status")
    account, name = workspace.account, resource.name
    path, doing = await workspace.path(f"computes/{name}"), f"delete the cluster {name}"
    found = await account.arm.find(path, API, doing)
    if found is None:
        return
    if (found.get("tags") or {}).get("phichat") != account.project:
        raise BackendError(f"The cluster {name} belongs to somebody else.", "phichat status")
    report(Step(name=name, state="running", detail="deleting"))
    await account.arm.delete(path, API, doing, underlyingResourceAction="Delete")
    report(Step(name=name, state="done", detail="deleted"))


async def _resource(workspace: Workspace, cluster: Json) -> Resource:
    told = (cluster.get("properties") or {}).get("properties") or {}
    size, nodes = str(told.get("vmSize", "")), int(told.get("currentNodeCount") or 0)
    price = await workspace.account.price(size) if nodes else None
    usd = 0.0 if not nodes else (price.high * nodes if price else None)
    return Resource(kind="cluster", name=cluster["name"], state=_state(told, nodes), usd_per_hour=usd)


def _state(told: Json, nodes: int) -> str:
    """How many nodes there are, and where that goes."""
    target = int(told.get("targetNodeCount") or 0)
    now = "asleep" if not nodes else ("1 node" if nodes == 1 else f"{nodes} nodes")
    if str(told.get("allocationState", "")).lower() == "resizing" and target != nodes:
        return f"{now}, soon {target}"
    return now
