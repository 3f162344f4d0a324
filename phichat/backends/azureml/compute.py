"""The cluster that trains: it has no node, and costs nothing, while no job needs one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from phichat.backends.azureml import names
from phichat.errors import BackendError

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Json
    from phichat.backends.azureml.settings import AzureMLSettings
    from phichat.backends.azureml.workspace import Workspace

API = "2023-08-01-preview"
IDLE = "PT2M"
"""How long a node without a job stays, and costs."""


def name_of(settings: AzureMLSettings) -> str:
    """The cluster's name: as configured, else after its size, so that another size is another cluster.

    Raises:
        BackendError: Azure would not take the configured one.
    """
    if not settings.compute:
        plain = re.sub(r"[^a-z0-9]+", "-", settings.train_size.lower().removeprefix("standard_"))
        return f"phichat-{plain}"[:24].rstrip("-")
    fault = names.problem("compute", settings.compute)
    if fault:
        raise BackendError(fault, "Correct backends.azureml.compute in phichat.toml.")
    return settings.compute


async def there(workspace: Workspace, *, wait: bool = False) -> bool:
    """Whether the cluster is there as it is wanted; `wait`: one that is being made is waited for.

    Raises:
        BackendError: it is there, but with machines of another size, or somebody else's and unfit.
    """
    found = await _found(workspace, wait=wait)
    return found is not None and _nodes(found) >= workspace.account.settings.instance_count


async def make(workspace: Workspace) -> None:
    """Make the cluster, or let our own grow to as many nodes as are wanted.

    Raises:
        QuotaError: the subscription has no room for a node.
        BackendError: it is there, but with machines of another size, or somebody else's and unfit.
    """
    settings = workspace.account.settings
    name = name_of(settings)
    found = await _found(workspace, wait=True)
    path, arm = await workspace.path(f"computes/{name}"), workspace.account.arm
    if found is not None:
        # Nothing else of it is ours to say: its network and identity may have been set by hand.
        scale = {**(_inner(found).get("scaleSettings") or {}), "maxNodeCount": settings.instance_count}
        grown = {"properties": {"properties": {"scaleSettings": scale}}}
        await arm.patch(path, API, grown, f"let the cluster {name} grow")
        return
    inner: dict[str, Any] = {
        "vmSize": settings.train_size,
        "vmPriority": "Dedicated",
        "osType": "Linux",
        "enableNodePublicIp": True,
        "remoteLoginPortPublicAccess": "NotSpecified",
        "scaleSettings": {
            "minNodeCount": 0,
            "maxNodeCount": settings.instance_count,
            "nodeIdleTimeBeforeScaleDown": IDLE,
        },
    }
    body = {
        "location": (await workspace.place()).location,
        "tags": {"phichat": workspace.account.project},
        "properties": {"computeType": "AmlCompute", "disableLocalAuth": True, "properties": inner},
    }
    await arm.put(path, API, body, f"make the cluster {name} of {settings.train_size}")


async def _found(workspace: Workspace, *, wait: bool) -> Json | None:
    """The cluster, if it can be used or made larger; None: there is none, or our own that failed.

    Raises:
        BackendError: it has machines of another size, or is somebody else's and does not do as it is.
    """
    settings = workspace.account.settings
    name = name_of(settings)
    doing = f"look up the cluster {name}"
    found = await workspace.find(f"computes/{name}", API, doing)
    if found is not None and wait and not _broken(found):
        found = await workspace.account.arm.settled(await workspace.path(f"computes/{name}"), API, doing)
    ours = found is not None and (found.get("tags") or {}).get("phichat") == workspace.account.project
    if found is None or (ours and _broken(found)):
        return None
    size = str(_inner(found).get("vmSize", ""))
    if size.lower() != settings.train_size.lower():
        raise BackendError(
            f"The cluster {name} has machines of size {size}, not {settings.train_size}.",
            "Set backends.azureml.compute to another name, or train_size to that size.",
        )
    if not ours and (unfit := _unfit(found, settings.instance_count)):
        told = f"The cluster {name} belongs to somebody else and {unfit}."
        raise BackendError(told, "Set backends.azureml.compute to another name in phichat.toml.")
    return found


def _unfit(found: Json, wanted: int) -> str:
    """Why a cluster does not do as it is; else empty."""
    kind = str((found.get("properties") or {}).get("computeType", ""))
    if kind.lower() != "amlcompute":
        return f"is a {kind}"
    if _broken(found):
        return "has failed"
    if _nodes(found) < wanted:
        return f"has at most {_nodes(found)} of the {wanted} nodes that are wanted"
    return ""


def _nodes(found: Json) -> int:
    """How many nodes it may have."""
    return int((_inner(found).get("scaleSettings") or {}).get("maxNodeCount") or 0)


def _broken(found: Json) -> bool:
    return str((found.get("properties") or {}).get("provisioningState", "")).lower() in ("failed", "canceled")


def _inner(found: Json) -> Json:
    told: Json = (found.get("properties") or {}).get("properties") or {}
    return told
