"""The container that answers chats: `trainer/Dockerfile` with the trainer's files, by their hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phichat.backends.azureml import assets
from phichat.backends.azureml.assets import Asset
from phichat.backends.azureml.environment import API

if TYPE_CHECKING:
    from phichat.backends.azureml.workspace import Workspace
    from phichat.backends.base import Report

NAME = "phichat-serve"
PORT = 8000
HEALTH, SCORE = "/health", "/score"


def context() -> Asset:
    """What the image is built from."""
    return assets.code()._replace(step="container", name=NAME)


def path(built: Asset) -> str:
    """Where it is registered, below the workspace."""
    return f"environments/{NAME}/versions/{built.version}"


async def there(workspace: Workspace, built: Asset) -> bool:
    """Whether the workspace has it: then its files are whole, as it is registered last."""
    return await workspace.find(path(built), API, f"look up the container {built.label}") is not None


async def make(workspace: Workspace, built: Asset, report: Report) -> None:
    """Bring its files up and register it; Azure builds the image when the first deployment needs it."""
    address = await assets.bring(workspace, built, report, plain=True)
    routes = {"liveness": HEALTH, "readiness": HEALTH, "scoring": SCORE}
    properties = {
        "build": {"contextUri": f"{address}/", "dockerfilePath": "Dockerfile"},
        "inferenceConfig": {f"{name}Route": {"port": PORT, "path": route} for name, route in routes.items()},
        "osType": "Linux",
        "isAnonymous": False,
        "isArchived": False,
        "description": "What answers chats.",
        "tags": {"phichat": workspace.account.project},
    }
    await workspace.put(path(built), API, {"properties": properties}, f"register the container {built.label}")
