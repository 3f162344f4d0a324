"""What a workspace keeps by name and version: environments, code and data."""

from __future__ import annotations

from tests.azure.standin.services.blobs import Blobs
from tests.azure.standin.services.workspaces import ACCOUNT, ARM, WORKSPACE
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

KINDS = r"(?P<kind>environments|codes|data)"


class Registered(Service):
    """Versions by path; one that is there cannot be made into another."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.found: dict[str, Json] = {}

    def at(self, path: str) -> Json:
        """A version by its path."""
        return self.found[path.lower()]

    @route("GET", ARM, rf"{WORKSPACE}/{KINDS}/(?P<name>[^/]+)/versions/(?P<version>[^/]+)")
    def get(self, request: Request, kind: str, name: str, version: str, **place: str) -> Response:
        found = self.found.get(request.path.lower())
        if found is None:
            return error(404, "NotFound", f"{kind} {name}:{version} was not found in this workspace.")
        return answer(found)

    @route("PUT", ARM, rf"{WORKSPACE}/{KINDS}/(?P<name>[^/]+)/versions/(?P<version>[^/]+)")
    def put(self, request: Request, kind: str, name: str, version: str, **place: str) -> Response:
        there, told = self.found.get(request.path.lower()), request.json["properties"]
        if there is not None and _what(there["properties"]) != _what(told):
            return error(409, "Conflict", f"{kind} {name}:{version} exists and cannot be changed.")
        made = {
            "id": request.path,
            "name": version,
            "type": f"Microsoft.MachineLearningServices/workspaces/{kind}/versions",
            "properties": {**told, "provisioningState": "Succeeded"},
        }
        self.found[request.path.lower()] = made
        return answer(made, 200 if there else 201)

    @route("POST", ARM, rf"{WORKSPACE}/codes/(?P<name>[^/]+)/versions/(?P<version>[^/]+)/startPendingUpload")
    def pending(self, request: Request, name: str, version: str, **place: str) -> Response:
        url = f"https://{ACCOUNT}.blob.core.windows.net/code-{name[:20]}{version[:20]}".lower()
        reference = {
            "blobUri": url,
            "storageAccountArmId": f"/subscriptions/{place['subscription']}/accounts/{ACCOUNT}",
            "credential": {"credentialType": "SAS", "sasUri": f"{url}?{self.blobs.sign()}"},
        }
        return answer(
            {
                "pendingUploadId": "a-pending-upload",
                "pendingUploadType": "TemporaryBlobReference",
                "blobReferenceForConsumption": reference,
            }
        )


def _what(told: Json) -> Json:
    return {
        name: told.get(name) for name in ("image", "condaFile", "codeUri", "dataUri", "dataType", "build")
    }
