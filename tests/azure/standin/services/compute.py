"""Compute clusters: made by a long-running operation, as large as the quota lets them be."""

from __future__ import annotations

from tests.azure.standin.services.workspaces import ARM, WORKSPACE
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

API = "2023-08-01-preview"


class Compute(Service):
    """The clusters by path."""

    def __init__(self) -> None:
        self.found: dict[str, Json] = {}
        self.failing = ""
        """Why the next cluster cannot be made; its long-running operation ends Failed then."""
        self.operations: dict[str, Json] = {}

    def size(self, name: str, nodes: int, target: int | None = None) -> None:
        """Let a cluster have so many nodes, on the way to another number."""
        for cluster in self.found.values():
            if cluster["name"] == name:
                inner = cluster["properties"]["properties"]
                inner["currentNodeCount"], inner["targetNodeCount"] = (
                    nodes,
                    nodes if target is None else target,
                )
                inner["allocationState"] = "Steady" if target is None else "Resizing"

    @route("GET", ARM, rf"{WORKSPACE}/computes")
    def listed(self, request: Request, **place: str) -> Response:
        top = f"{request.path.lower()}/"
        return answer({"value": [each for path, each in self.found.items() if path.startswith(top)]})

    @route("GET", ARM, rf"{WORKSPACE}/computes/(?P<name>[^/]+)")
    def get(self, request: Request, name: str, **place: str) -> Response:
        found = self.found.get(request.path.lower())
        return answer(found) if found else _missing(name)

    @route("PUT", ARM, rf"{WORKSPACE}/computes/(?P<name>[^/]+)")
    def put(self, request: Request, name: str, **place: str) -> Response:
        body = request.json
        operation = f"op-{len(self.operations) + 1}"
        url = f"https://management.azure.com/subscriptions/{place['subscription']}/providers/"
        url += f"Microsoft.MachineLearningServices/locations/eastus2/computeOperationsStatus/{operation}"
        if self.failing:
            told = {"code": "ComputeOperationFailed", "message": self.failing}
            self.operations[operation] = {"status": "Failed", "error": told}
            self.failing = ""
        else:
            self.operations[operation] = {"status": "Succeeded"}
            self.found[request.path.lower()] = _made(request.path, name, body)
        cluster = _made(request.path, name, body)
        told_url = f"{url}?api-version={API}"
        return answer(cluster, 201, Azure_AsyncOperation=told_url, Retry_After="0")

    @route("PATCH", ARM, rf"{WORKSPACE}/computes/(?P<name>[^/]+)")
    def patch(self, request: Request, name: str, **place: str) -> Response:
        """Only the scale may be changed, as `ClusterUpdateParameters` of the service has it."""
        found = self.found.get(request.path.lower())
        if found is None:
            return _missing(name)
        inner = (request.json.get("properties") or {}).get("properties") or {}
        if request.json != {"properties": {"properties": {"scaleSettings": inner.get("scaleSettings")}}}:
            return error(400, "BadRequest", "Only properties.properties.scaleSettings can be changed.")
        if "maxNodeCount" not in inner["scaleSettings"]:
            return error(400, "BadRequest", "maxNodeCount is required.")
        found["properties"]["properties"]["scaleSettings"] = inner["scaleSettings"]
        return answer(found)

    @route("DELETE", ARM, rf"{WORKSPACE}/computes/(?P<name>[^/]+)")
    def delete(self, request: Request, name: str, **place: str) -> Response:
        if request.query.get("underlyingResourceAction") != "Delete":
            return error(400, "BadRequest", "The action is missing.")
        if self.found.pop(request.path.lower(), None) is None:
            return _missing(name)
        operation = f"op-{len(self.operations) + 1}"
        self.operations[operation] = {"status": "Succeeded"}
        url = f"https://management.azure.com/subscriptions/{place['subscription']}/providers/"
        url += f"Microsoft.MachineLearningServices/locations/eastus2/computeOperationsStatus/{operation}"
        return answer({}, 202, Azure_AsyncOperation=f"{url}?api-version={API}", Retry_After="0")

    @route(
        "GET",
        ARM,
        r"/subscriptions/[^/]+/providers/Microsoft\.MachineLearningServices/locations/[^/]+"
        r"/computeOperationsStatus/(?P<operation>[^/]+)",
    )
    def operation(self, request: Request, operation: str) -> Response:
        return answer({"id": request.path, "name": operation, **self.operations[operation]}, Retry_After="0")


def _missing(name: str) -> Response:
    return error(404, "ResourceNotFound", f"Compute {name} was not found.")


def _made(path: str, name: str, body: Json) -> Json:
    told = body["properties"]
    state = {"provisioningState": "Succeeded", "isAttachedCompute": False, "provisioningErrors": None}
    inner = {"currentNodeCount": 0, "targetNodeCount": 0, "allocationState": "Steady", **told["properties"]}
    return {
        "id": path,
        "name": name,
        "type": "Microsoft.MachineLearningServices/workspaces/computes",
        "location": body["location"],
        "tags": body.get("tags", {}),
        "properties": {**told, **state, "properties": inner},
    }
