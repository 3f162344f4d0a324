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
        BackendError: it is there with machines of another size.
    """
    settings = workspace.account.settings
    name = name_of(settings)
    doing = f"look up the cluster {name}"
    found = await workspace.find(f"computes/{name}", API, doing)
    if found is not None and wait and not _broken(found):
        found = await workspace.account.arm.settled(await workspace.path(f"computes/{name}"), API, doing)
    if found is None or _broken(found):
        return False
    told = _inner(found)
    size = str(told.get("vmSize", ""))
    if size.lower() != settings.train_size.lower():
        raise BackendError(
            f"The cluster {name} has machines of size {size}, not {settings.train_size}.",
            "Set backends.azureml.compute to another name, or train_size to that size.",
        )
    return int((told.get("scaleSettings") or {}).get("maxNodeCount", 0)) >= settings.instance_count


async def make(workspace: Workspace) -> None:
    """Make the cluster, or let it grow to as many nodes as are wanted.

    Raises:
        QuotaError: the subscription has no room for a node.
    """
    settings = workspace.account.settings
    name = name_of(settings)
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
    doing = f"make the cluster {name} of {settings.train_size}"
    await workspace.account.arm.put(await workspace.path(f"computes/{name}"), API, body, doing)


def _broken(found: Json) -> bool:
    return str((found.get("properties") or {}).get("provisioningState", "")).lower() in ("failed", "canceled")


def _inner(found: Json) -> Json:
    told: Json = (found.get("properties") or {}).get("properties") or {}
    return told
