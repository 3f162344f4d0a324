"""Azure's resource manager as a few calls; nothing is read as "not there" but what says so."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from phichat.backends.azureml.credential import MANAGEMENT, SignIn, login_command
from phichat.backends.azureml.failures import translate
from phichat.errors import BackendError, UnavailableError

if TYPE_CHECKING:
    from azure.core import PipelineClient
    from azure.core.rest import HttpRequest, HttpResponse

HOST = "https://management.azure.com"
Json = dict[str, Any]

WAIT_S = 5.0
"""Seconds between two looks at something that Azure is making, where it does not say how long to wait."""
PATIENCE = 360
"""Looks after which something that is never finished counts as failed: half an hour."""
ELSEWHERE = frozenset(
    {
        "SubscriptionNotFound",
        "InvalidSubscriptionId",
        "InvalidResourceType",
        "InvalidResourceNamespace",
        "InvalidTenant",
    }
)
"""Codes of a 404 that does not say that the resource is missing, but that the question was wrong."""


async def pause(seconds: float) -> None:
    """Wait before the next look."""
    await asyncio.sleep(seconds)


class Arm:
    """Calls to the resource manager; every failure is a BackendError of one sentence."""

    def __init__(self, sign_in: SignIn) -> None:
        self.sign_in = sign_in
        self._client: PipelineClient[Any, Any] | None = None
        self._lock = threading.Lock()

    async def get(self, path: str, version: str, doing: str) -> Json:
        """A resource.

        Raises:
            NotFoundError: it is not there.
        """
        with self.translated(doing):
            return _json(await self._call("GET", path, version))

    async def find(self, path: str, version: str, doing: str) -> Json | None:
        """A resource, or None if there certainly is none: not signed in, or out of reach, is an error."""
        from azure.core.exceptions import ResourceNotFoundError

        with self.translated(doing):
            try:
                return _json(await self._call("GET", path, version))
            except ResourceNotFoundError as error:
                if missing(error):
                    return None
                raise

    async def all(self, path: str, version: str, doing: str, **query: str) -> list[Json]:
        """Every member of a list, page by page."""
        with self.translated(doing):
            answer = _json(await self._call("GET", path, version, query=query))
            found: list[Json] = [*answer.get("value", [])]
            while answer.get("nextLink"):
                answer = _json(await self._call("GET", answer["nextLink"], ""))
                found += answer.get("value", [])
            return found

    async def put(self, path: str, version: str, body: Mapping[str, Any], doing: str) -> Json:
        """Make a resource as `body` says, and wait until it is made.

        Raises:
            BackendError: it was refused, or it failed.
        """
        return await self._change("PUT", path, version, body, doing)

    async def patch(self, path: str, version: str, body: Mapping[str, Any], doing: str) -> Json:
        """Change of a resource what `body` says and nothing else, and wait until it is changed.

        Raises:
            BackendError: it was refused, or it failed.
        """
        return await self._change("PATCH", path, version, body, doing)

    async def delete(self, path: str, version: str, doing: str, **query: str) -> None:
        """Delete a resource, and wait until it is gone; one that is gone already is no error."""
        from azure.core.exceptions import ResourceNotFoundError

        with self.translated(doing):
            try:
                await self._finish(await self._call("DELETE", path, version, query=query))
            except ResourceNotFoundError as error:
                if not missing(error):
                    raise

    async def ask(self, method: str, path: str, version: str, body: Mapping[str, Any], doing: str) -> Json:
        """Send a request and return its answer, without waiting for what it begins."""
        with self.translated(doing):
            return _json(await self._call(method, path, version, body))

    async def settled(self, path: str, version: str, doing: str) -> Json:
        """A resource once Azure is done with it: one that an earlier process began to make is waited for."""
        with self.translated(doing):
            return await self._settled(path, version, doing)

    @contextlib.contextmanager
    def translated(self, doing: str) -> Iterator[None]:
        """Tell whatever Azure's libraries raise in plain words."""
        from azure.core.exceptions import AzureError

        try:
            yield
        except BackendError:
            raise
        except (AzureError, OSError, ValueError) as error:
            raise translate(error, doing, login_command(self.sign_in.tenant)) from error

    def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            self._client.close()
        self.sign_in.close()

    async def _change(
        self, method: str, path: str, version: str, body: Mapping[str, Any], doing: str
    ) -> Json:
        with self.translated(doing):
            await self._finish(await self._call(method, path, version, body))
            return await self._settled(path, version, doing)

    async def _settled(self, path: str, version: str, doing: str) -> Json:
        for _ in range(PATIENCE):
            response = await self._call("GET", path, version)
            found = _json(response)
            state = str((found.get("properties") or {}).get("provisioningState", "Succeeded")).lower()
            if state in ("failed", "canceled"):
                raise BackendError(f"Azure could not {doing}: it ended {state}.", "phichat provision")
            if state == "succeeded":
                return found
            await pause(_wait(response))
        raise UnavailableError(f"Azure is not done yet: {doing}.", "phichat provision")

    async def _finish(self, response: HttpResponse) -> None:
        """Follow the operation that a request has begun to its end."""
        operation = response.headers.get("Azure-AsyncOperation")
        address = operation or (response.headers.get("Location") if response.status_code == 202 else None)
        for _ in range(PATIENCE if address else 0):
            await pause(_wait(response))
            response = await self._call("GET", str(address), "")
            state = str(_json(response).get("status", "")).lower() if operation else ""
            if state in ("failed", "canceled"):
                raise _failed(response)
            if state == "succeeded" or (not operation and response.status_code != 202):
                return
        if not address:
            return
        raise UnavailableError("Azure is not done with the operation yet.", "phichat provision")

    async def _call(
        self,
        method: str,
        path: str,
        version: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """The answer to one request.

        Raises:
            AzureError: it is not a good one.
        """
        from azure.core.exceptions import (
            ClientAuthenticationError,
            HttpResponseError,
            ResourceExistsError,
            ResourceNotFoundError,
        )
        from azure.core.rest import HttpRequest

        parameters = {**({"api-version": version} if version else {}), **(query or {})}
        address = path if path.startswith("https://") else f"{HOST}{path}"
        if urlsplit(address).hostname != urlsplit(HOST).hostname:
            raise BackendError("Azure named a foreign address to go on at.")  # the token must not go there
        request = HttpRequest(method, address, params=parameters, json=body)
        response = await asyncio.to_thread(self._send, request)
        if response.status_code < 300:
            return response
        kinds = {401: ClientAuthenticationError, 404: ResourceNotFoundError, 409: ResourceExistsError}
        raise kinds.get(response.status_code, HttpResponseError)(response=response)

    def _send(self, request: HttpRequest) -> HttpResponse:
        with self._lock:
            self._client = self._client or _client(self.sign_in)
        response: HttpResponse = self._client.send_request(request)
        response.read()
        return response


def missing(error: Exception) -> bool:
    """Whether a 404 really says that the resource is not there."""
    told = getattr(error, "error", None)
    # A proxy's page has no code: it knows nothing of resources.
    return told is not None and told.code not in ELSEWHERE


def _client(sign_in: SignIn) -> PipelineClient[Any, Any]:
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import RequestIdPolicy, RetryPolicy, UserAgentPolicy
    from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

    from phichat import __version__

    # No policy that logs requests: nothing here may write a token anywhere.
    policies = [
        RequestIdPolicy(),
        UserAgentPolicy(base_user_agent=f"phichat/{__version__}"),
        RetryPolicy(),
        ARMChallengeAuthenticationPolicy(sign_in, MANAGEMENT),
    ]
    return PipelineClient(HOST, policies=policies)


def _json(response: HttpResponse) -> Json:
    if not response.text():
        return {}
    found = response.json()
    return found if isinstance(found, dict) else {}


def _wait(response: HttpResponse) -> float:
    try:
        return float(response.headers.get("Retry-After", WAIT_S))
    except ValueError:
        return WAIT_S


def _failed(response: HttpResponse) -> Exception:
    """The error of an operation that was accepted and failed later."""
    from azure.core.exceptions import HttpResponseError

    return HttpResponseError(response=response)
