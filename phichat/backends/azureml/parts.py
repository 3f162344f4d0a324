"""What a new workspace is made of: every resource with its name, path, version and body, as data."""

from __future__ import annotations

from typing import Any, NamedTuple

from phichat.backends.azureml.names import beside
from phichat.backends.azureml.place import GROUP_API, IDENTITY_API, WORKSPACE_API, Place

REGISTRY_USD_DAY = 0.167
"""Of the tier Basic, used or not: learn.microsoft.com, "Azure Container Registry service tiers", 2026-11."""


class Part(NamedTuple):
    """One resource."""

    kind: str
    """For people."""
    name: str
    path: str
    version: str
    body: dict[str, Any]
    costs: str = ""
    """What it costs by itself, in US dollars; empty: nothing, or only with what is done on it."""


def group(place: Place) -> Part:
    """The resource group."""
    return Part("resource group", place.group, place.group_path, GROUP_API, {"location": place.location})


def identity(place: Place) -> Part:
    """The identity that endpoints run as."""
    body = {"location": place.location}
    return Part("identity", place.identity, place.identity_path, IDENTITY_API, body)


def workspace(place: Place, needs: dict[str, str]) -> Part:
    """The workspace; `needs` are the paths of what it uses, by property."""
    body = {
        "location": place.location,
        "identity": {"type": "SystemAssigned"},
        "sku": {"name": "Basic", "tier": "Basic"},
        "kind": "Default",
        "properties": {"friendlyName": place.workspace, "publicNetworkAccess": "Enabled", **needs},
    }
    return Part("workspace", place.workspace, place.workspace_path, WORKSPACE_API, body)


def needed(place: Place, tenant: str) -> dict[str, Part]:
    """What a workspace needs beside itself, by the property that names it, in the order of making."""
    names = beside(place.subscription, place.group, place.workspace)
    logs = _logs(place, names.logs)
    return {
        "storageAccount": _storage(place, names.storage),
        "keyVault": _vault(place, names.vault, tenant),
        "containerRegistry": _registry(place, names.registry),
        "logs": logs,
        "applicationInsights": _insights(place, names.insights, logs.path),
    }


def _storage(place: Place, name: str) -> Part:
    body = {
        "location": place.location,
        "kind": "StorageV2",
        "sku": {"name": "Standard_LRS"},
        "properties": {
            "supportsHttpsTrafficOnly": True,
            "allowBlobPublicAccess": False,
            "minimumTlsVersion": "TLS1_2",
        },
    }
    path = place.within(f"Microsoft.Storage/storageAccounts/{name}")
    return Part("storage account", name, path, "2023-05-01", body, "by the GB that lies there")


def _vault(place: Place, name: str, tenant: str) -> Part:
    body = {
        "location": place.location,
        "properties": {
            "tenantId": tenant,
            "sku": {"name": "standard", "family": "A"},
            "accessPolicies": [],
            "enableRbacAuthorization": True,
        },
    }
    path = place.within(f"Microsoft.KeyVault/vaults/{name}")
    return Part("key vault", name, path, "2023-07-01", body, "by the request")


def _registry(place: Place, name: str) -> Part:
    # As Azure ML itself makes it: the nodes of a cluster pull images with the registry's own account.
    properties = {"adminUserEnabled": True}
    body = {"location": place.location, "sku": {"name": "Basic"}, "properties": properties}
    path = place.within(f"Microsoft.ContainerRegistry/registries/{name}")
    return Part("container registry", name, path, "2023-07-01", body, f"US${REGISTRY_USD_DAY:.2f} a day")


def _logs(place: Place, name: str) -> Part:
    body = {"location": place.location, "properties": {"sku": {"name": "PerGB2018"}}}
    path = place.within(f"Microsoft.OperationalInsights/workspaces/{name}")
    return Part("log workspace", name, path, "2022-10-01", body, "by the GB that is written")


def _insights(place: Place, name: str, logs: str) -> Part:
    body = {
        "location": place.location,
        "kind": "web",
        "properties": {"Application_Type": "web", "WorkspaceResourceId": logs},
    }
    path = place.within(f"Microsoft.Insights/components/{name}")
    return Part("application insights", name, path, "2020-02-02", body)
