"""Managed online endpoints as the resource manager keeps them: endpoints, deployments, keys, traffic."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from tests.azure.standin.container import Container
from tests.azure.standin.others import Theirs
from tests.azure.standin.services.models import Models
from tests.azure.standin.services.registered import Registered
from tests.azure.standin.services.workspaces import ACCOUNT, ARM, WORKSPACE
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

API = "2023-04-01-preview"
ENDPOINT = rf"{WORKSPACE}/onlineEndpoints/(?P<endpoint>[^/]+)"
DEPLOYMENT = rf"{ENDPOINT}/deployments/(?P<name>[^/]+)"


@dataclass
class Live:
    """One deployment: what was asked for, and its container."""

    path: str
    body: Json
    state: str = "Creating"
    container: Container | Theirs | None = None
    looks: int = 0
    """How often its probe was tried."""
    error: Json | None = None


@dataclass
class Endpoint:
    """One endpoint."""

    path: str
    name: str
    body: Json
    keys: list[str] = field(default_factory=lambda: [secrets.token_urlsafe(24) for _ in range(2)])
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    deployments: dict[str, Live] = field(default_factory=dict)
    route: str = "/score"
    state: str = "Succeeded"


class Endpoints(Service):
    """The endpoints by name; deployments take a look to be made, and really run their container."""

    def __init__(self, models: Models, registered: Registered, folder: Path) -> None:
        self.models = models
        self.registered = registered
        self.folder = folder
        self.found: dict[str, Endpoint] = {}
        self.failing: list[Json] = []
        """Errors at which the next deployments' long-running operations end, before a container runs."""
        self.half: list[Json] = []
        """Errors at which the operations of the next endpoints end: what there is of them is left behind."""
        self.instead: list[Theirs] = []
        """Containers that the next deployments have instead of the one that they are made of."""
        self.patience = 5
        """Looks after which a container that is not ready has failed."""
        self.taken: set[str] = set()
        """Names of endpoints that somebody else in the region has."""
        self._operations: dict[str, Live | None] = {}
        self.started = 0
        """How many containers were ever started."""

    def close(self) -> None:
        """End every container."""
        for endpoint in self.found.values():
            for live in endpoint.deployments.values():
                if live.container:
                    live.container.kill()

    def empty(self) -> None:
        """Remove everything."""
        self.close()
        self.found.clear()
        self.failing.clear()
        self.half.clear()
        self.instead.clear()
        self.taken.clear()

    def theirs(self, path: str, container: Theirs, model: str, route: str = "/score") -> None:
        """Have an endpoint that somebody else has made, with one deployment `blue`."""
        name = path.rpartition("/")[2]
        told = {
            "instanceType": "Standard_NC6s_v3",
            "model": f"azureml://registries/azureml/models/{model}/versions/4",
        }
        live = Live(f"{path}/deployments/blue", {"properties": told}, "Succeeded", container)
        body = {"location": "eastus2", "properties": {"authMode": "Key", "traffic": {"blue": 100}}}
        self.found[name] = Endpoint(path, name, body, deployments={"blue": live}, route=route)

    def rotate(self, name: str) -> None:
        """Give an endpoint new keys."""
        self.found[name].keys = [secrets.token_urlsafe(24) for _ in range(2)]

    @route("GET", ARM, rf"{WORKSPACE}/onlineEndpoints")
    def listed(self, request: Request, **place: str) -> Response:
        return answer({"value": [self._shown(each) for each in self.found.values()]})

    @route("GET", ARM, ENDPOINT)
    def get(self, request: Request, endpoint: str, **place: str) -> Response:
        found = self.found.get(endpoint)
        return answer(self._shown(found)) if found else _missing(endpoint)

    @route("PUT", ARM, ENDPOINT)
    def put(self, request: Request, endpoint: str, **place: str) -> Response:
        body, there = request.json, self.found.get(endpoint)
        if endpoint in self.taken:
            return error(409, "Conflict", f"Endpoint name {endpoint} is already taken in this region.")
        traffic = body["properties"].get("traffic") or {}
        known = there.deployments if there else {}
        if sum(traffic.values()) not in (0, 100) or not set(traffic) <= set(known):
            return error(400, "BadArgument", f"The traffic {traffic} is not valid.")
        if any(known[name].state != "Succeeded" for name, share in traffic.items() if share):
            return error(400, "BadArgument", "Traffic can only go to deployments that succeeded.")
        if there:
            there.body = body
        else:
            there = self.found[endpoint] = Endpoint(request.path, endpoint, body)
        there.state, failed = "Succeeded", self.half.pop(0) if self.half else None
        if failed:
            there.state = "Failed"
            return self._accepted(
                request, answer(self._shown(there), 201), Live("", {}, "Failed", error=failed)
            )
        return self._accepted(request, answer(self._shown(there), 201), None)

    @route("DELETE", ARM, ENDPOINT)
    def delete(self, request: Request, endpoint: str, **place: str) -> Response:
        found = self.found.pop(endpoint, None)
        if found is None:
            return Response(204)
        for live in found.deployments.values():
            if live.container:
                live.container.kill()
        return self._accepted(request, Response(202), None)

    @route("POST", ARM, rf"{ENDPOINT}/listKeys")
    def keys(self, request: Request, endpoint: str, **place: str) -> Response:
        found = self.found.get(endpoint)
        if found is None:
            return _missing(endpoint)
        return answer({"primaryKey": found.keys[0], "secondaryKey": found.keys[1]})

    @route("POST", ARM, rf"{ENDPOINT}/token")
    def token(self, request: Request, endpoint: str, **place: str) -> Response:
        found = self.found.get(endpoint)
        if found is None:
            return _missing(endpoint)
        return answer({"accessToken": found.token, "expiryTimeUtc": 4102444800, "tokenType": "Bearer"})

    @route("GET", ARM, rf"{ENDPOINT}/deployments")
    def deployments(self, request: Request, endpoint: str, **place: str) -> Response:
        found = self.found.get(endpoint)
        if found is None:
            return _missing(endpoint)
        return answer({"value": [_deployment(name, live) for name, live in found.deployments.items()]})

    @route("GET", ARM, DEPLOYMENT)
    def deployment(self, request: Request, endpoint: str, name: str, **place: str) -> Response:
        live = self._live(endpoint, name)
        if live is None:
            return _missing(name)
        self._step(live)
        return answer(_deployment(name, live), Retry_After="0")

    @route("PUT", ARM, DEPLOYMENT)
    def deploy(self, request: Request, endpoint: str, name: str, **place: str) -> Response:
        found, body = self.found.get(endpoint), request.json
        if found is None:
            return _missing(endpoint)
        top = request.path.partition("/onlineEndpoints/")[0]
        told = body["properties"]
        if told["model"].lower() not in self.models.found or not told["model"].startswith(top):
            return error(400, "BadArgument", f"There is no model {told['model']}.")
        if name in found.deployments and found.deployments[name].state == "Creating":
            return error(409, "Conflict", f"Already running method send for the deployment {name}.")
        live = found.deployments[name] = Live(request.path, body)
        return self._accepted(request, answer(_deployment(name, live), 201), live)

    @route("PATCH", ARM, DEPLOYMENT)
    def mark(self, request: Request, endpoint: str, name: str, **place: str) -> Response:
        live = self._live(endpoint, name)
        if live is None:
            return _missing(name)
        if set(request.json) - {"tags", "sku"}:
            return error(400, "BadArgument", "Only tags and sku can be changed so.")
        live.body = {**live.body, **request.json}
        return self._accepted(request, answer(_deployment(name, live), 202), live)

    @route("DELETE", ARM, DEPLOYMENT)
    def undeploy(self, request: Request, endpoint: str, name: str, **place: str) -> Response:
        live = self._live(endpoint, name)
        if live is None:
            return Response(204)
        traffic = self.found[endpoint].body["properties"].get("traffic") or {}
        if traffic.get(name):
            return error(400, "BadArgument", f"The deployment {name} has {traffic[name]} % of the traffic.")
        if live.container:
            live.container.kill()
        traffic.pop(name, None)
        del self.found[endpoint].deployments[name]
        return self._accepted(request, Response(202), None)

    @route("POST", ARM, rf"{DEPLOYMENT}/getLogs")
    def logs(self, request: Request, endpoint: str, name: str, **place: str) -> Response:
        live = self._live(endpoint, name)
        if live is None:
            return _missing(name)
        told = live.container.lines if live.container else ""
        tail = told.splitlines()[-int(request.json.get("tail", 500)) :]
        return answer({"content": "\n".join(tail)})

    @route("GET", ARM, r"/subscriptions/[^/]+/.*/mfeOperationsStatus/(?P<operation>[^/]+)")
    def operation(self, request: Request, operation: str) -> Response:
        live = self._operations[operation]
        if live is not None:
            self._step(live)
        status = {"Creating": "InProgress", "Failed": "Failed"}.get(live.state if live else "", "Succeeded")
        told = {"error": live.error} if live and live.error else {}
        return answer({"id": request.path, "name": operation, "status": status, **told}, Retry_After="0")

    def _step(self, live: Live) -> None:
        """Bring a deployment to its end: its image is pulled, its container runs, its probe succeeds."""
        if live.state != "Creating":
            return
        if self.failing:
            live.state, live.error = "Failed", self.failing.pop(0)
            return
        told = live.body["properties"]
        environment = self.registered.at(told["environmentId"])["properties"]
        if live.container is None:
            self.started += 1
            folder = self.folder / str(self.started)
            folder.mkdir(parents=True)
            image = self._image(environment["build"]["contextUri"])
            model = self.models.folder(told["model"])
            live.container = self.instead.pop(0) if self.instead else Container(folder, image, model)
        if live.container.ready(environment["inferenceConfig"]["readinessRoute"]["path"]):
            live.state = "Succeeded"
        live.looks += 1
        if live.state == "Succeeded" or not (live.container.ended or self._in_vain(live)):
            return
        what = "Liveness" if live.container.ended else "Readiness"
        live.container.kill()
        said = f"User container has crashed or terminated: {what} probe failed. ResourceNotReady"
        live.state, live.error = "Failed", {"code": "BadArgument", "message": said}

    def _in_vain(self, live: Live) -> bool:
        """Whether Azure gives a container up: only one that is played, as real ones come up in their time."""
        return isinstance(live.container, Theirs) and live.looks >= self.patience

    def _image(self, url: str) -> Path:
        container, _, name = url.partition(".blob.core.windows.net/")[2].partition("/")
        return self.models.blobs.place(ACCOUNT, container, name.rstrip("/"))

    def _accepted(self, request: Request, response: Response, live: Live | None) -> Response:
        operation = f"op-{len(self._operations) + 1}"
        self._operations[operation] = live
        subscription = request.path.split("/")[2]
        url = f"https://management.azure.com/subscriptions/{subscription}/providers/Microsoft"
        url += f".MachineLearningServices/locations/eastus2/mfeOperationsStatus/{operation}"
        headers = {"Azure-AsyncOperation": f"{url}?api-version={API}", "Retry-After": "0"}
        return Response(response.status, response.body, {**response.headers, **headers})

    def _live(self, endpoint: str, name: str) -> Live | None:
        found = self.found.get(endpoint)
        return found.deployments.get(name) if found else None

    def _shown(self, endpoint: Endpoint) -> Json:
        scoring = f"https://{endpoint.name}.eastus2.inference.ml.azure.com{endpoint.route}"
        told = {"traffic": {}, **endpoint.body["properties"], "scoringUri": scoring}
        return {
            "id": endpoint.path,
            "name": endpoint.name,
            "location": endpoint.body["location"],
            "identity": endpoint.body.get("identity"),
            "tags": endpoint.body.get("tags", {}),
            "kind": "Managed",
            "properties": {**told, "provisioningState": endpoint.state},
        }


def _deployment(name: str, live: Live) -> Json:
    told = {"scaleSettings": {"scaleType": "Default"}, **live.body["properties"]}
    told["provisioningState"] = live.state
    return {"id": live.path, "name": name, **live.body, "properties": told}


def _missing(name: str) -> Response:
    return error(404, "ResourceNotFound", f"{name} was not found.")
