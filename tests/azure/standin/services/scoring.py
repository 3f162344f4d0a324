"""The door of the endpoints: checks the key, shares the traffic, and forwards to the container, streamed."""

from __future__ import annotations

from collections.abc import Collection, Generator

import httpx

from tests.azure.standin.others import Theirs
from tests.azure.standin.services.endpoints import Endpoint, Endpoints, Live
from tests.azure.standin.services.login import Login
from tests.azure.standin.wire import Request, Response, Service, answer, route

HOST = r"[a-zA-Z0-9-]+\.eastus2\.inference\.ml\.azure\.com"
PASSED = ("content-type", "accept")


class Scoring(Service):
    """Forwards requests to whichever deployment has the traffic, or to the one that is named."""

    def __init__(self, endpoints: Endpoints, login: Login) -> None:
        self.login = login
        self.endpoints = endpoints
        self.asked: dict[str, int] = {}
        """How many requests went to which deployment."""
        self._turn = 0

    @route("GET", HOST, r"/.*")
    @route("POST", HOST, r"/.*")
    def forward(self, request: Request) -> Response:
        endpoint = self.endpoints.found.get(request.host.partition(".")[0])
        if endpoint is None:
            return answer({"error": "no such endpoint"}, 404)
        if request.bearer not in self._good(endpoint):
            return answer({"message": "Access denied due to invalid key."}, 401)
        name = request.headers.get("azureml-model-deployment") or self._next(endpoint)
        live = endpoint.deployments.get(name)
        if live is None or live.state != "Succeeded" or live.container is None:
            return answer({"error": {"code": "NotFound", "message": "No such deployment."}}, 404)
        self.asked[name] = self.asked.get(name, 0) + 1
        return _forwarded(live, request)

    def _good(self, endpoint: Endpoint) -> Collection[str]:
        """What opens an endpoint: only what it was made for."""
        mode = endpoint.body["properties"]["authMode"]
        return {"Key": endpoint.keys, "AMLToken": [endpoint.token], "AADToken": self.login.tokens}[mode]

    def _next(self, endpoint: Endpoint) -> str:
        """Whose turn it is: of a hundred requests each deployment gets its share."""
        self._turn = (self._turn + 37) % 100
        passed = 0
        for name, share in (endpoint.body["properties"].get("traffic") or {}).items():
            passed += share
            if self._turn < passed:
                return str(name)
        return ""


def _forwarded(live: Live, request: Request) -> Response:
    if isinstance(live.container, Theirs):
        theirs = live.container.answered(request)
        return theirs if theirs.status == 200 else _refused(theirs.body, str(theirs.status))
    assert live.container is not None
    headers = {name: request.headers[name] for name in PASSED if name in request.headers}
    client = httpx.Client(trust_env=False, timeout=60)
    asked = client.build_request(
        request.method, f"{live.container.address}{request.target}", headers=headers, content=request.body
    )
    try:
        answered = client.send(asked, stream=True)
    except httpx.TransportError as error:
        client.close()
        return _failed(f"the container is gone: {error}", "502")
    told = {"Content-Type": answered.headers.get("content-type", "application/json")}
    if answered.status_code == 200:
        return Response(200, b"", told, _pieces(client, answered))
    body = answered.read()
    client.close()
    return _refused(body, str(answered.status_code))


def _pieces(client: httpx.Client, answered: httpx.Response) -> Generator[bytes, None, None]:
    try:
        yield from answered.iter_raw()
    finally:
        answered.close()
        client.close()


def _refused(body: bytes, status: str) -> Response:
    return Response(424, body, {"Content-Type": "application/json", **_reason(status)})


def _failed(message: str, status: str) -> Response:
    return Response(424, message.encode(), {"Content-Type": "text/plain", **_reason(status)})


def _reason(status: str) -> dict[str, str]:
    return {"ms-azureml-model-error-statuscode": status, "ms-azureml-model-error-reason": "model_error"}
