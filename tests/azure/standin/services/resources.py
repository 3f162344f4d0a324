"""Resource groups, and what a workspace is made of: made slowly, found by its path."""

from __future__ import annotations

import uuid
from typing import Any

from tests.azure.standin.services.slowly import Slowly
from tests.azure.standin.services.subscriptions import Subscriptions
from tests.azure.standin.services.workspaces import Workspaces
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

HOST = r"management\.azure\.com"
GROUP = r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
WORKSPACES = "Microsoft.MachineLearningServices/workspaces"
KINDS = {
    "Microsoft.Storage/storageAccounts": "2023-05-01",
    "Microsoft.KeyVault/vaults": "2023-07-01",
    "Microsoft.ContainerRegistry/registries": "2023-07-01",
    "Microsoft.OperationalInsights/workspaces": "2022-10-01",
    "Microsoft.Insights/components": "2020-02-02",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "2024-11-30",
    WORKSPACES: "2024-10-01-preview",
}
"""Every type that can be made here, with the version in which its body is understood."""
SDK_READS = "2023-08-01-preview"
"""The version in which azure-ai-ml looks at a workspace before it makes a cluster."""
NEEDED = {
    "Microsoft.Storage/storageAccounts": ("kind", "sku.name"),
    "Microsoft.KeyVault/vaults": ("properties.tenantId", "properties.sku", "properties.accessPolicies"),
    "Microsoft.ContainerRegistry/registries": ("sku.name", "properties.adminUserEnabled"),
    "Microsoft.Insights/components": ("kind", "properties.Application_Type"),
    WORKSPACES: (
        "identity.type",
        "properties.storageAccount",
        "properties.keyVault",
    ),
}
"""What the service refuses a body without, besides a location."""
IDS = ("clientId", "principalId", "tenantId")


class Resources(Service):
    """What exists, by path."""

    def __init__(self, subscriptions: Subscriptions, workspaces: Workspaces, slowly: Slowly) -> None:
        self.all: dict[str, Json] = {}
        """By path in small letters."""
        self.fails: dict[str, str] = {}
        """Types of which the next one fails in the end, with the code."""
        self._subscriptions = subscriptions
        self._workspaces = workspaces
        self._slowly = slowly

    def of(self, kind: str) -> list[Json]:
        """All resources of a type."""
        return [each for each in self.all.values() if each["type"] == kind]

    def is_ready(self, path: str) -> bool:
        """Whether a resource can be used."""
        found = self.all.get(path.lower())
        return found is not None and self._slowly.made(path) and _state(found) != "Failed"

    def principals(self) -> set[str]:
        """The ids by which roles are given."""
        found = self.of("Microsoft.ManagedIdentity/userAssignedIdentities")
        return {each["properties"]["principalId"] for each in found}

    @route("GET", HOST, GROUP)
    def group(self, request: Request, subscription: str, group: str) -> Response:
        return self._found(request) if self._has_group(subscription, group) else no_group(group)

    @route("PUT", HOST, GROUP)
    def put_group(self, request: Request, subscription: str, group: str) -> Response:
        new = not self._has_group(subscription, group)
        self.keep(request, "Microsoft.Resources/resourceGroups", request.json)
        return answer(self.all[request.path.lower()], 201 if new else 200)

    @route("GET", HOST, rf"{GROUP}/providers/(?P<kind>[\w.]+/\w+)/(?P<name>[^/]+)")
    def get(self, request: Request, subscription: str, group: str, kind: str, name: str) -> Response:
        refused = self._refused(request, subscription, group, kind)
        return refused or self._found(request)

    @route("PUT", HOST, rf"{GROUP}/providers/(?P<kind>[\w.]+/\w+)/(?P<name>[^/]+)")
    def put(self, request: Request, subscription: str, group: str, kind: str, name: str) -> Response:
        refused = self._refused(request, subscription, group, kind) or incomplete(request.json, kind)
        if refused:
            return refused
        body = request.json
        if kind.endswith("Identities"):
            body["properties"] = {
                each: str(uuid.uuid5(uuid.NAMESPACE_URL, f"{each} {request.path}")) for each in IDS
            }
            self.keep(request, kind, body)
            return answer(self.all[request.path.lower()], 201)
        unready = [
            path
            for path in body.get("properties", {}).values()
            if str(path).startswith("/subscriptions/") and not self.is_ready(path)
        ]
        if unready:
            return error(400, "BadRequest", f"{unready[0]} is not there, or not ready.")
        return self.begin(request, kind, body)

    @route("GET", HOST, r"/subscriptions/[^/]+/providers/Microsoft\.Made/(?P<code>\w+)(?P<path>/.+)")
    def operation(self, request: Request, code: str, path: str) -> Response:
        if not self._slowly.look(path):
            return answer({"status": "InProgress"}, 202, retry_after="0")
        if code != "well":
            return answer({"status": "Failed", "error": {"code": code, "message": "It did not work."}})
        return answer({"status": "Succeeded"})

    def begin(self, request: Request, kind: str, body: Json) -> Response:
        """Begin to make a resource, and say where to ask how it goes."""
        code = self.fails.pop(kind, "")
        state = "Failed" if code else "Succeeded"
        body["properties"] = {**(body.get("properties") or {}), "provisioningState": state}
        self.keep(request, kind, body)
        self._slowly.begin(request.path)
        subscription = self._subscriptions.subscription
        address = (
            f"https://management.azure.com/subscriptions/{subscription}/providers/Microsoft.Made"
            f"/{code or 'well'}{request.path}"
        )
        if kind == "Microsoft.Storage/storageAccounts":
            # It answers without a body, and says where the result will be.
            return Response(202, b"", {"Location": address, "Retry-After": "0"})
        made = self.all[request.path.lower()]
        if kind == WORKSPACES:
            made = self._opened(request, made)
        return answer(made, 201, **{"Azure-AsyncOperation": address, "Retry-After": "0"})

    def keep(self, request: Request, kind: str, body: Json) -> None:
        """Keep a resource as it was asked for."""
        named = {"id": request.path, "name": request.path.rpartition("/")[2], "type": kind}
        self.all[request.path.lower()] = {**body, **named}

    def _opened(self, request: Request, made: Json) -> Json:
        """A workspace with what Azure adds to it, so that jobs can be sent there."""
        self._workspaces.make(request.path.split("/")[4], made["name"], made["location"])
        whole = self._workspaces.found[request.path.lower()]
        made["properties"] = {**whole["properties"], **made["properties"]}
        whole.update(made)
        self.all[request.path.lower()] = whole
        return whole

    def _found(self, request: Request) -> Response:
        path = request.path.lower()
        found = self.all.get(path) or self._workspaces.found.get(path)
        if found is None:
            return error(404, "ResourceNotFound", f"The Resource '{request.path}' was not found.")
        if self._slowly.look(request.path) or "provisioningState" not in found.get("properties", {}):
            return answer(found)
        making = {**found["properties"], "provisioningState": "Creating"}
        return answer({**found, "properties": making}, retry_after="0")

    def _refused(self, request: Request, subscription: str, group: str, kind: str) -> Response | None:
        version = request.query.get("api-version")
        reads = (kind, request.method, version) == (WORKSPACES, "GET", SDK_READS)
        if KINDS.get(kind) != version and not reads:
            return error(400, "InvalidApiVersionParameter", f"{version} is no version of {kind}.")
        if request.path.lower() in self._workspaces.found:
            return None
        if not self._has_group(subscription, group):
            return no_group(group)
        namespace = kind.partition("/")[0]
        if request.mutating and not self._subscriptions.is_registered(namespace):
            told = f"The subscription is not registered to use namespace '{namespace}'."
            return error(409, "MissingSubscriptionRegistration", told)
        return None

    def _has_group(self, subscription: str, group: str) -> bool:
        return f"/subscriptions/{subscription}/resourcegroups/{group}".lower() in self.all


def no_group(group: str) -> Response:
    """What is answered about anything in a group that is not there."""
    return error(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")


def incomplete(body: Json, kind: str) -> Response | None:
    """The refusal of a body in which something is missing."""
    for dotted in (*NEEDED.get(kind, ()), "location", "tags.phichat"):
        value: Any = body
        for part in dotted.split("."):
            value = (value or {}).get(part)
        if value is None:
            return error(400, "InvalidRequestContent", f"The request has no {dotted}.")
    return None


def _state(resource: Json) -> str:
    return str(resource.get("properties", {}).get("provisioningState", "Succeeded"))
