"""A project on Azure for tests: its backend, as another process would open it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.azureml.settings import AzureMLSettings
from tests.azure.standin.cloud import SUBSCRIPTION


class Lab(Protocol):
    """Opens the backend of the project `lab`, with settings."""

    def __call__(self, **settings: Any) -> AzureMLBackend: ...


def lab_of(folder: Path, **settings: Any) -> AzureMLBackend:
    """The backend of the project `lab` in a folder."""
    told = {"subscription_id": SUBSCRIPTION, **settings}
    return AzureMLBackend(AzureMLSettings.model_validate(told), folder / "lab" / ".phichat" / "azureml")
