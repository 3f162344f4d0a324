"""What is alive on Azure and what it costs an hour: the deployments and clusters of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phichat.backends.azureml.compute import API
from phichat.backends.azureml.endpoints import Endpoints, state_of
from phichat.backends.azureml.refs import ref_of
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


async def serving(workspace: Workspace) -> list[Resource]:
    """The endpoints of the project, which cost nothing themselves, and before each its deployments."""
    endpoints, found = Endpoints(workspace), []
    for endpoint in await endpoints.all():
        for each in await endpoints.deployments(endpoint["name"]):
            found.append(await _deployment(workspace, endpoint["name"], each))
        found.append(Resource(kind="endpoint", name=endpoint["name"], state=state_of(endpoint)))
    return found


async def remove(workspace: Workspace, resource: Resource, report: Report) -> None:
    """Delete a cluster, and with it whatever runs there; the models and data in the workspace stay.

    Raises:
        NotFoundError: it is something else.
    """
    if resource.kind in ("deployment", "endpoint"):
        await _remove_serving(workspace, resource, report)
        return
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


async def _remove_serving(workspace: Workspace, resource: Resource, report: Report) -> None:
    """Delete a deployment that costs whether it has requests or not, or a whole endpoint."""
    endpoints, name = Endpoints(workspace), resource.name.partition("/")[0]
    found = await endpoints.find(name)
    if found is None:
        return
    if (found.get("tags") or {}).get("phichat") != workspace.account.project:
        raise BackendError(f"The endpoint {name} belongs to somebody else.", "phichat status")
    report(Step(name=resource.name, state="running", detail="deleting"))
    ref = ref_of(resource.name)
    if resource.kind == "endpoint":
        await endpoints.remove(name)
    elif ref is not None:
        await endpoints.withdraw(ref, found)
        await endpoints.undeploy(ref)
    report(Step(name=resource.name, state="done", detail="deleted"))


async def _deployment(workspace: Workspace, endpoint: str, told: Json) -> Resource:
    size = str((told.get("properties") or {}).get("instanceType", ""))
    count = int((told.get("sku") or {}).get("capacity") or 1)
    price = await workspace.account.price(size)
    usd = price.high * count if price else None
    name = f"{endpoint}/{told['name']}"
    return Resource(kind="deployment", name=name, state=f"{size}, {state_of(told)}", usd_per_hour=usd)


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
