"""The stand-in as one object: services, what was asked of them, and what is to go wrong."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.azure.standin import certificates
from tests.azure.standin.faults import Fault
from tests.azure.standin.proxy import Proxy
from tests.azure.standin.services.blobs import Blobs
from tests.azure.standin.services.compute import Compute
from tests.azure.standin.services.endpoints import Endpoints
from tests.azure.standin.services.history import History
from tests.azure.standin.services.jobs import Jobs
from tests.azure.standin.services.login import Login
from tests.azure.standin.services.models import Models
from tests.azure.standin.services.prices import Prices
from tests.azure.standin.services.quotas import Quotas
from tests.azure.standin.services.registered import Registered
from tests.azure.standin.services.resources import Resources
from tests.azure.standin.services.roles import Roles
from tests.azure.standin.services.scoring import Scoring
from tests.azure.standin.services.slowly import Slowly
from tests.azure.standin.services.subscriptions import Subscriptions
from tests.azure.standin.services.workspaces import Workspaces
from tests.azure.standin.wire import Request, Response, Route, Service, error

SUBSCRIPTION = "5f7c3c1e-0b7e-4e0c-9d53-2a6c1f0e9b11"
TENANT = "0c9a6b0e-6d1c-4f8a-8f52-7c1d2e3f4a5b"
CLIENT = "9e107d9d-372b-4b6f-9d6a-1b2c3d4e5f60"
SECRET = "not-a-secret-of-anybody~0123456789"
"""What the environment says; the stand-in takes no other."""


class Cloud:
    """Azure, as far as anything here asks for it. What it does not know is an error of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[Request] = []
        """All that was asked, in order."""
        self.unknown: list[str] = []
        """What nobody here answers, and what an answer failed at: a test that leaves any has failed."""
        self.faults: list[Fault] = []
        self.after: Callable[[Request], None] = lambda request: None
        """Called when a request was handled, before its answer leaves."""
        self._lock = threading.RLock()
        self.login = Login(TENANT, CLIENT, SECRET)
        self.blobs = Blobs(folder / "blobs")
        self.workspaces = Workspaces(SUBSCRIPTION, self.blobs)
        self.compute = Compute()
        self.registered = Registered(self.blobs)
        self.jobs = Jobs(self.blobs, self.registered, folder / "nodes")
        self.history = History(self.jobs)
        self.models = Models(self.blobs, self.jobs)
        self.endpoints = Endpoints(self.models, self.registered, folder / "containers")
        self.scoring = Scoring(self.endpoints, self.login)
        self.slowly = Slowly()
        self.subscriptions = Subscriptions(SUBSCRIPTION, TENANT, self.slowly)
        self.resources = Resources(self.subscriptions, self.workspaces, self.slowly)
        self.roles = Roles(self.resources, self.slowly)
        self.quotas = Quotas(self.subscriptions, self.slowly)
        self.prices = Prices()
        self.services: list[Service] = [
            self.login,
            self.blobs,
            self.compute,
            self.registered,
            self.jobs,
            self.history,
            self.models,
            self.endpoints,
            self.scoring,
            self.subscriptions,
            self.roles,
            self.quotas,
            self.prices,
            self.resources,
            self.workspaces,
        ]
        self._routes: list[Route] = [route for service in self.services for route in service.routes()]

    def answer(self, request: Request) -> Response:
        """Do what a request asks, one at a time."""
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self.faults if fault.takes(request)), None)
            return fault.act(request, self._handled) if fault else self._handled(request)

    def made(self) -> list[str]:
        """Every request that changed something, in order."""
        return [str(request) for request in self.requests if request.mutating]

    def forget(self) -> None:
        """Forget what was asked, and what is to go wrong; what was made stays."""
        self.requests.clear()
        self.faults.clear()

    def empty(self) -> None:
        """Remove everything that was made."""
        self.endpoints.empty()
        for made in (self.workspaces.found, self.compute.found, self.registered.found, self.jobs.found):
            made.clear()
        self.models.found.clear()
        self.blobs.clear()

    def _handled(self, request: Request) -> Response:
        response = self._routed(request)
        self.after(request)
        return response

    def _routed(self, request: Request) -> Response:
        refused = self.login.refusal(request) or self.blobs.refusal(request, self.login)
        if refused is not None:
            return refused
        for route in self._routes:
            groups = route.match(request)
            if groups is not None:
                try:
                    return route.handler(request, **groups)
                except Exception:
                    self.unknown.append(f"{request}\n{traceback.format_exc()}")
                    return error(500, "StandInFailed", f"The stand-in failed at {request}.")
        self.unknown.append(f"{request}?{request.query}")
        return error(501, "NotImplemented", f"The stand-in does not know {request}.")


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Cloud, dict[str, str]]]:
    """A cloud that answers, and the environment variables that lead to it."""
    folder.mkdir(parents=True, exist_ok=True)
    trusted, context = certificates.make(folder)
    cloud = Cloud(folder)
    proxy = Proxy(context, cloud.answer)
    try:
        yield cloud, _environment(proxy.url, trusted)
    finally:
        proxy.close()
        cloud.jobs.close()
        cloud.endpoints.close()


def _environment(url: str, trusted: Path) -> dict[str, str]:
    """What a person behind a proxy sets, and who signs in."""
    files = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"), str(trusted))
    return {
        **files,
        "HTTPS_PROXY": url,
        "https_proxy": url,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": SECRET,
    }
