"""Registered models: folders of the storage under a name and a version, with where they come from."""

from __future__ import annotations

from pathlib import Path

from tests.azure.standin.services.blobs import Blobs
from tests.azure.standin.services.jobs import Jobs
from tests.azure.standin.services.workspaces import ACCOUNT, ARM, CONTAINER, WORKSPACE
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

KINDS = frozenset({"mlflow_model", "custom_model", "triton_model"})


class Models(Service):
    """Versions by path; one that is there cannot be made into another."""

    def __init__(self, blobs: Blobs, jobs: Jobs) -> None:
        self.blobs = blobs
        self.jobs = jobs
        self.found: dict[str, Json] = {}

    def folder(self, path: str) -> Path:
        """Where a model's files lie."""
        uri: str = self.found[path.lower()]["properties"]["modelUri"]
        return self._place(uri)

    @route("GET", ARM, rf"{WORKSPACE}/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)")
    def get(self, request: Request, name: str, version: str, **place: str) -> Response:
        found = self.found.get(request.path.lower())
        return answer(found) if found else error(404, "ModelNotFound", f"No model {name}:{version}.")

    @route("GET", ARM, rf"{WORKSPACE}/models/(?P<name>[^/]+)/versions")
    def listed(self, request: Request, name: str, **place: str) -> Response:
        top = f"{request.path.lower()}/"
        return answer({"value": [each for path, each in self.found.items() if path.startswith(top)]})

    @route("PUT", ARM, rf"{WORKSPACE}/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)")
    def put(self, request: Request, name: str, version: str, **place: str) -> Response:
        told = request.json["properties"]
        if told["modelType"] not in KINDS:
            return error(400, "ValidationError", f"Unknown type {told['modelType']}.")
        folder = self._place(told["modelUri"])
        if not folder.is_dir():
            return error(400, "ValidationError", f"There is nothing at {told['modelUri']}.")
        if told["modelType"] == "mlflow_model" and not (folder / "MLmodel").is_file():
            return error(400, "ValidationError", "Model of type mlflow_model has no MLmodel file.")
        there = self.found.get(request.path.lower())
        if there is not None and there["properties"]["modelUri"] != told["modelUri"]:
            return error(409, "Conflict", f"The model {name}:{version} exists and cannot be changed.")
        made = {"id": request.path, "name": version, "properties": {"flavors": {}, **told}}
        self.found[request.path.lower()] = made
        return answer(made, 200 if there else 201)

    def _place(self, uri: str) -> Path:
        if uri.startswith("azureml://jobs/"):
            job, _, rest = uri.removeprefix("azureml://jobs/").partition("/outputs/")
            output, _, below = rest.partition("/paths/")
            uri = f"{self.jobs.found[job].properties['outputs'][output]['uri'].rstrip('/')}/{below}"
        return self.blobs.place(ACCOUNT, CONTAINER, uri.partition("/paths/")[2].rstrip("/"))
