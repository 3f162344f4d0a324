"""Where on Azure a project is: its subscription, resource group, workspace and identity, as paths."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from phichat.errors import BackendError

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Arm
    from phichat.backends.azureml.settings import AzureMLSettings

ML = "Microsoft.MachineLearningServices"
SUBSCRIPTIONS_API = "2022-12-01"
WORKSPACE_API = "2024-10-01-preview"
ML_LISTS_API = "2023-08-01-preview"
"""Of usages and machine sizes, as the SDK asks."""
GROUP_API = "2025-04-01"
IDENTITY_API = "2024-11-30"


class Place(NamedTuple):
    """Names of what a project uses, and the paths at which the resource manager has them."""

    subscription: str
    group: str
    workspace: str
    location: str
    identity: str

    @property
    def subscription_path(self) -> str:
        """The subscription."""
        return f"/subscriptions/{self.subscription}"

    @property
    def group_path(self) -> str:
        """The resource group."""
        return f"{self.subscription_path}/resourceGroups/{self.group}"

    @property
    def workspace_path(self) -> str:
        """The workspace."""
        return self.within(f"{ML}/workspaces/{self.workspace}")

    @property
    def identity_path(self) -> str:
        """The identity that endpoints run as."""
        return self.within(f"Microsoft.ManagedIdentity/userAssignedIdentities/{self.identity}")

    @property
    def region_path(self) -> str:
        """Azure ML in the location: its machine sizes and quotas."""
        return f"{self.subscription_path}/providers/{ML}/locations/{self.location}"

    def within(self, resource: str) -> str:
        """The path of a resource in the group."""
        return f"{self.group_path}/providers/{resource}"


class Identity(NamedTuple):
    """A user-assigned identity, as Azure knows it: looked up, never typed."""

    resource_id: str
    client_id: str
    principal_id: str


async def place_of(arm: Arm, settings: AzureMLSettings) -> Place:
    """The place that the settings name; a subscription that is not named is the only one there is.

    Raises:
        BackendError: there are several subscriptions, or none.
    """
    return Place(
        subscription=settings.subscription_id or await _subscription(arm),
        group=settings.resource_group,
        workspace=settings.workspace,
        location=settings.location,
        identity=settings.identity,
    )


async def identity_of(arm: Arm, place: Place) -> Identity | None:
    """The identity with its ids, or None if it was not made yet."""
    found = await arm.find(place.identity_path, IDENTITY_API, f"look up the identity {place.identity}")
    if found is None:
        return None
    told = found.get("properties", {})
    return Identity(found.get("id", place.identity_path), told.get("clientId", ""), told["principalId"])


async def _subscription(arm: Arm) -> str:
    if named := os.environ.get("AZURE_SUBSCRIPTION_ID"):
        return named
    found = await arm.all("/subscriptions", SUBSCRIPTIONS_API, "list your subscriptions")
    enabled = [each for each in found if each.get("state", "Enabled") == "Enabled"]
    if len(enabled) == 1:
        return str(enabled[0]["subscriptionId"])
    if not enabled:
        raise BackendError(
            "This sign-in has no subscription of Azure.",
            "Make one at https://portal.azure.com, Subscriptions.",
        )
    listed = ", ".join(f"{each.get('displayName', '')} ({each['subscriptionId']})" for each in enabled[:5])
    raise BackendError(
        f"You have several subscriptions: {listed}.", "Say which one: backends.azureml.subscription_id"
    )
