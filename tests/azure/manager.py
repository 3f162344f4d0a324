"""The resource manager of the stand-in: groups, resources, identities, roles, quotas, as the real one answers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

SUBSCRIPTION = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
TENANT = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
HOST = "https://management.azure.com"
SUB = rf"/subscriptions/{SUBSCRIPTION}"
ML = "Microsoft.MachineLearningServices"
LISTS = "2023-08-01-preview"

VERSIONS = {
    "microsoft.storage/storageaccounts": "2023-05-01",
    "microsoft.keyvault/vaults": "2023-07-01",
    "microsoft.containerregistry/registries": "2023-07-01",
    "microsoft.operationalinsights/workspaces": "2022-10-01",
    "microsoft.insights/components": "2020-02-02",
    "microsoft.managedidentity/userassignedidentities": "2024-11-30",
    "microsoft.machinelearningservices/workspaces": "2024-10-01-preview",
}
"""Every type that can be made, with the version in which its body is understood."""
NEEDED = {
    "microsoft.storage/storageaccounts": ("kind", "sku"),
    "microsoft.keyvault/vaults": ("properties.tenantId", "properties.sku", "properties.accessPolicies"),
    "microsoft.containerregistry/registries": ("sku",),
    "microsoft.insights/components": ("kind", "properties.Application_Type"),
    "microsoft.machinelearningservices/workspaces": (
        "identity.type",
        "properties.storageAccount",
        "properties.keyVault",
    ),
}
"""What the service refuses a body without."""
SIZES = [
    ("Standard_NC24ads_A100_v4", "standardNCADSA100v4Family", 24, 1, 220.0),
    ("Standard_E4s_v3", "standardESv3Family", 4, 0, 32.0),
    ("Standard_E16s_v3", "standardESv3Family", 16, 0, 128.0),
]
OWNER = {"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []}


@dataclass
class Reply:
    """What is sent back."""

    status: int = 200
    body: Json | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """A request that the service refuses, with its code."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        self.reply = Reply(
            status,
            {"error": {"code": code, "message": message or code}},
            {"x-ms-request-id": "8ee1b2f7-0000-4000-8000-000000000001"},
        )


class Manager:
    """What exists in one subscription, and how Azure behaves while it is made."""

    def __init__(self) -> None:
        self.resources: dict[str, Json] = {}
        self.registered: set[str] = set()
        self.assignments: dict[str, Json] = {}
        self.requests: list[Json] = []
        self.limits = {"standardNCADSA100v4Family": 0, "standardESv3Family": 100}
        self.used: dict[str, int] = {}
        self.region_limit = 350
        self.permissions: list[Json] = [OWNER]
        self.state = "Enabled"
        # How Azure behaves.
        self.slow = 1
        """Looks that anything takes until it is made."""
        self.unknown_principals = 0
        """Times that a new identity is not known yet when it is given a role."""
        self.unspread_roles = 0
        """Times that a new role is not listed yet."""
        self.quota = "granted"
        """What becomes of a request: granted, refused or open."""
        self.broken: dict[str, str] = {}
        """Types of which the making fails in the end, with the code."""
        self._pending: dict[str, int] = {}

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Json | None) -> Reply | None:
        """The answer to a request; None if there is no such route."""
        for verb, pattern, route in self._routes():
            found = re.fullmatch(pattern, path, re.IGNORECASE)
            if found and verb == method:
                try:
                    return route(found, query, body or {})
                except Refusal as refusal:
                    return refusal.reply
        return None

    def find(self, kind: str) -> list[Json]:
        """All resources of a type, as `Microsoft.Storage/storageAccounts`."""
        return [each for each in self.resources.values() if each.get("type", "").lower() == kind.lower()]

    def _routes(self) -> list[tuple[str, str, Callable[[re.Match[str], Mapping[str, str], Json], Reply]]]:
        anywhere = rf"(?P<scope>{SUB}(?:/.*?)?)/providers/Microsoft.Authorization"
        region = rf"{SUB}/providers/{ML}/locations/(?P<location>[a-z0-9]+)"
        group = rf"{SUB}/resourceGroups/(?P<group>[^/]+)"
        return [
            ("GET", "/subscriptions", self._subscriptions),
            ("GET", SUB, self._subscription),
            ("GET", "/subscriptions/[^/]+(?:/.*)?(?<!operations)", self._other_subscription),
            ("GET", rf"{SUB}/providers/(?P<name>Microsoft\.\w+)", self._provider),
            ("POST", rf"{SUB}/providers/(?P<name>Microsoft\.\w+)/register", self._register),
            ("GET", rf"{anywhere}/roleAssignments", self._list_roles),
            ("PUT", rf"{anywhere}/roleAssignments/(?P<name>[0-9a-f-]+)", self._give_role),
            ("GET", rf"{anywhere}/permissions", self._permissions),
            ("GET", rf"{region}/vmSizes", self._sizes),
            ("GET", rf"{region}/usages", self._usages),
            ("GET", rf"{region}/providers/Microsoft.Quota/quotaRequests", self._quota_requests),
            ("PUT", rf"{region}/providers/Microsoft.Quota/quotas/(?P<family>\w+)", self._ask_quota),
            ("GET", rf"{SUB}/operations/(?P<id>.+)", self._operation),
            ("GET", group, self._get),
            ("PUT", group, self._put_group),
            ("GET", rf"{group}/providers/(?P<type>[\w.]+/\w+)/(?P<name>[^/]+)", self._get),
            ("PUT", rf"{group}/providers/(?P<type>[\w.]+/\w+)/(?P<name>[^/]+)", self._put),
        ]

    # Subscriptions and services

    def _subscriptions(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, "2022-12-01")
        return Reply(body={"value": [self._told()]})

    def _subscription(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, "2022-12-01")
        return Reply(body=self._told())

    def _other_subscription(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        raise Refusal(404, "SubscriptionNotFound", "The subscription could not be found.")

    def _told(self) -> Json:
        return {
            "id": SUB,
            "subscriptionId": SUBSCRIPTION,
            "tenantId": TENANT,
            "displayName": "Pay-As-You-Go",
            "state": self.state,
        }

    def _provider(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, "2021-04-01")
        name = found["name"]
        state = "Registered" if name in self.registered and self._made(name) else "NotRegistered"
        return Reply(body={"namespace": name, "registrationState": state})

    def _register(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        self.registered.add(found["name"])
        self._pending[found["name"]] = self.slow
        return Reply(body={"namespace": found["name"], "registrationState": "Registering"})

    # Resources

    def _get(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        groups = found.groupdict()
        kind = (groups.get("type") or "").lower()
        _version(query, VERSIONS[kind] if kind else "2025-04-01")
        self._group(found)
        resource = self.resources.get(found[0].lower())
        if resource is None:
            raise Refusal(404, "ResourceNotFound", f"The Resource {found[0]!r} was not found.")
        told = {**resource, "properties": {**resource.get("properties", {})}}
        if "provisioningState" in told["properties"] and not self._made(found[0].lower()):
            told["properties"]["provisioningState"] = "Creating"
        return Reply(body=told, headers={"Retry-After": "0"})

    def _put_group(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, "2025-04-01")
        return self._keep(found, body, "Microsoft.Resources/resourceGroups")

    def _put(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        kind = found["type"].lower()
        _version(query, VERSIONS[kind])
        self._group(found)
        self._service(found["type"].partition("/")[0])
        _complete(kind, body)
        for path in (body.get("properties") or {}).values():
            if isinstance(path, str) and path.startswith("/subscriptions/") and not self._is_made(path):
                raise Refusal(400, "BadRequest", f"{path} is not there or not ready.")
        if kind.endswith("identities"):
            ids = {name: str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}{found[0]}")) for name in _IDS}
            body = {**body, "properties": ids}
        return self._keep(found, body, found["type"])

    def _keep(self, found: re.Match[str], body: Json, kind: str) -> Reply:
        path = found[0].lower()
        new = path not in self.resources
        broken = self.broken.pop(kind, "")
        properties = {**(body.get("properties") or {})}
        if not kind.endswith("Identities"):
            properties["provisioningState"] = "Failed" if broken else "Succeeded"
        self.resources[path] = {
            **body,
            "id": found[0],
            "name": found[0].rpartition("/")[2],
            "type": kind,
            "properties": properties,
        }
        if kind in ("Microsoft.Resources/resourceGroups", "Microsoft.ManagedIdentity/userAssignedIdentities"):
            return Reply(201 if new else 200, self.resources[path])
        self._pending[path] = self.slow
        address = f"{HOST}{SUB}/operations/{broken or 'well'}{found[0]}"
        if kind == "Microsoft.Storage/storageAccounts":
            # It answers without a body, and says where the result will be.
            return Reply(202, None, {"Location": address, "Retry-After": "0"})
        return Reply(201, self.resources[path], {"Azure-AsyncOperation": address, "Retry-After": "0"})

    def _operation(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        outcome, _, path = found["id"].partition("/")
        path = f"/{path}".lower()
        done, headers = self._made(path), {"Retry-After": "0"}
        if "/storageaccounts/" in path:
            return Reply(200 if done else 202, self.resources[path] if done else None, headers)
        if not done:
            return Reply(200, {"status": "InProgress"}, headers)
        if outcome != "well":
            return Reply(200, {"status": "Failed", "error": {"code": outcome, "message": "It did not work."}})
        return Reply(200, {"status": "Succeeded"})

    # Roles

    def _give_role(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, "2022-04-01")
        told = body["properties"]
        if told["principalId"] not in {each["properties"].get("principalId") for each in self._identities()}:
            raise Refusal(400, "PrincipalNotFound", f"Principal {told['principalId']} does not exist.")
        if self.unknown_principals > 0:
            self.unknown_principals -= 1
            raise Refusal(400, "PrincipalNotFound", "Principal does not exist in the directory.")
        if told.get("principalType") != "ServicePrincipal":
            raise Refusal(400, "UnmatchedPrincipalType")
        same = {**told, "scope": found["scope"]}
        for name, each in self.assignments.items():
            if each == same and name != found["name"]:
                raise Refusal(409, "RoleAssignmentExists", "The role assignment already exists.")
        if not self._is_made(found["scope"]):
            raise Refusal(404, "ResourceNotFound")
        self.assignments[found["name"]] = same
        self._pending[found["name"]] = self.unspread_roles
        return Reply(201, {"name": found["name"], "properties": same})

    def _list_roles(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, "2022-04-01")
        wanted = re.fullmatch(r"principalId eq '(.+)'", query["$filter"])
        assert wanted is not None
        scope = found["scope"].lower()
        listed = [
            {"name": name, "properties": each}
            for name, each in self.assignments.items()
            if each["principalId"] == wanted[1] and self._made(name)
            if scope.startswith(each["scope"].lower()) or each["scope"].lower().startswith(scope)
        ]
        return Reply(body={"value": listed})

    def _permissions(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, "2022-04-01")
        # Two pages: whoever reads only the first sees no permission at all.
        if "page" in query:
            return Reply(body={"value": self.permissions})
        return Reply(body={"value": [], "nextLink": f"{HOST}{found[0]}?api-version=2022-04-01&page=2"})

    # Sizes and quotas

    def _sizes(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, LISTS)
        keys = ("name", "family", "vCPUs", "gpus", "memoryGB")
        return Reply(body={"value": [dict(zip(keys, size, strict=True)) for size in SIZES]})

    def _usages(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, LISTS)
        rows = [
            _usage("vmFamily", family, limit, self.used.get(family, 0))
            for family, limit in self.limits.items()
        ]
        total = "Total Cluster Dedicated Regional vCPUs"
        rows.append(_usage("dedicatedCores", total, self.region_limit, sum(self.used.values())))
        return Reply(body={"value": rows})

    def _ask_quota(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, "2025-09-01")
        self._service("Microsoft.Quota")
        asked = body["properties"]
        assert asked["limit"]["limitObjectType"] == "LimitValue" and asked["resourceType"] == "dedicated"
        assert asked["name"]["value"] == found["family"]
        number = str(len(self.requests))
        self.requests.append({"name": number, "family": found["family"], "limit": asked["limit"]["value"]})
        self._pending[f"quota {number}"] = self.slow
        address = f"{HOST}{found[0].rpartition('/quotas/')[0]}/quotaRequests/{number}"
        return Reply(202, None, {"Location": address, "Retry-After": "0"})

    def _quota_requests(self, found: re.Match[str], query: Mapping[str, str], body: Json) -> Reply:
        _version(query, "2025-09-01")
        return Reply(body={"value": [self._request(each) for each in self.requests]})

    def _request(self, request: Json) -> Json:
        done = self._made(f"quota {request['name']}") and self.quota != "open"
        granted = done and self.quota == "granted"
        if granted:
            self.limits[request["family"]] = request["limit"]
        state = ("Succeeded" if granted else "Failed") if done else "InProgress"
        part = {
            "name": {"value": request["family"]},
            "limit": {"limitObjectType": "LimitValue", "value": request["limit"]},
            "provisioningState": state,
        }
        told: Json = {
            "provisioningState": state,
            "requestSubmitTime": request.get("at", "2999-01-01T00:00:00Z"),
            "value": [part],
        }
        if state == "Failed":
            told["error"] = {"code": "ContactSupport", "message": "Request failed due to insufficient capacity"}
        return {"name": request["name"], "properties": told}

    # What takes time

    def _made(self, what: str) -> bool:
        """Whether something is made by now; every look brings it nearer."""
        left = self._pending.get(what, 0)
        self._pending[what] = max(0, left - 1)
        return left <= 0

    def _is_made(self, path: str) -> bool:
        return path.lower() in self.resources and self._pending.get(path.lower(), 0) <= 0

    def _group(self, found: re.Match[str]) -> None:
        if f"{SUB}/resourcegroups/{found['group']}".lower() not in self.resources:
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{found['group']}' could not be found.")

    def _service(self, name: str) -> None:
        if name not in self.registered or self._pending.get(name, 0) > 0:
            told = f"The subscription is not registered to use namespace '{name}'."
            raise Refusal(409, "MissingSubscriptionRegistration", told)

    def _identities(self) -> list[Json]:
        return self.find("Microsoft.ManagedIdentity/userAssignedIdentities")


_IDS = ("clientId", "principalId", "tenantId")


def _version(query: Mapping[str, str], version: str) -> None:
    if query.get("api-version") != version:
        raise Refusal(400, "InvalidApiVersionParameter", f"{query.get('api-version')} is not {version}")


def _complete(kind: str, body: Json) -> None:
    for dotted in (*NEEDED.get(kind, ()), "location"):
        value: Any = body
        for part in dotted.split("."):
            value = (value or {}).get(part)
        if value is None:
            raise Refusal(400, "InvalidRequestContent", f"{dotted} is missing")


def _usage(kind: str, name: str, limit: int, used: int) -> Json:
    return {
        "type": f"{ML}/{kind}/usages",
        "name": {"value": name, "localizedValue": name},
        "limit": limit,
        "currentValue": used,
        "unit": "Count",
    }
