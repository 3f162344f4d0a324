"""Run history: how far a job is, as the portal sees it, and its logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from phichat.backends.azureml.credential import MANAGEMENT, SignIn

if TYPE_CHECKING:
    from azure.core import PipelineClient
    from azure.core.rest import HttpResponse

    from phichat.backends.azureml.arm import Json

LOG = "user_logs/std_log.txt"
PROCESSES = "user_logs/std_log_process_"
"""Of a run with several processes; events come from the first one."""
PIECE = 4 * 2**20
ENDED = frozenset({"completed", "failed", "canceled", "cancelled"})
WAITING = frozenset({"notstarted", "queued", "unapproved"})
STARTING = frozenset({"preparing", "provisioning", "starting"})


class Details(NamedTuple):
    """A job as it is now."""

    state: str
    """In small letters."""
    created: float | None
    started: float | None
    ended: float | None
    error: Json
    logs: dict[str, str]
    """Addresses by name; each opens its file, so none is ever shown or kept."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ENDED

    @property
    def begun(self) -> bool:
        """Whether it has left the queue."""
        return self.started is not None or (self.state not in WAITING and not self.finished)

    @property
    def idle(self) -> bool:
        """Whether no machine runs its command yet, or again."""
        return self.state in WAITING | STARTING

    @property
    def log(self) -> str | None:
        """The address of the log with the events."""
        names = sorted(name for name in self.logs if name == LOG or name.startswith(PROCESSES))
        return self.logs[names[0]] if names else None


class History:
    """Asks the run history. Everything here blocks: it is called in a thread."""

    def __init__(self, sign_in: SignIn) -> None:
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy

        self._signed = _client(BearerTokenCredentialPolicy(sign_in, MANAGEMENT))
        self._open = _client()

    def details(self, base: str, job: str) -> Details:
        """How far a job is.

        Raises:
            ResourceNotFoundError: there is no such job.
        """
        told: Json = _checked(_get(self._signed, f"{base}/runs/{job}/details")).json()
        return Details(
            state=str(told.get("status", "")).lower(),
            created=_seconds(told.get("createdTimeUtc")),
            started=_seconds(told.get("startTimeUtc")),
            ended=_seconds(told.get("endTimeUtc")),
            error=(told.get("error") or {}).get("error") or {},
            logs=told.get("logFiles") or {},
        )

    def read(self, address: str, position: int) -> bytes | None:
        """What a log has from a position on, as far as it is written; None if it does not reach there."""
        # With the byte before it: whether that is there tells a log that grows from one that began anew.
        start = max(0, position - 1)
        found = b""
        while True:
            wanted = f"bytes={start + len(found)}-{start + len(found) + PIECE - 1}"
            response = _get(self._open, address, Range=wanted)
            if response.status_code in (404, 416):
                return None if position and not found else found[position - start :]
            piece = _checked(response).content
            # A server that does not know ranges sends the whole file.
            found += piece if response.status_code == 206 else piece[start:]
            if len(piece) < PIECE or response.status_code != 206:
                return found[position - start :]

    def close(self) -> None:
        """Let go of connections."""
        self._signed.close()
        self._open.close()


def discovered(address: str) -> str:
    """The services of a workspace's region; asked without saying who asks."""
    client = _client()
    try:
        return str(_checked(_get(client, address)).json()["api"])
    finally:
        client.close()


def _client(*policies: Any) -> PipelineClient[Any, Any]:
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import RequestIdPolicy, RetryPolicy, UserAgentPolicy

    from phichat import __version__

    agent = UserAgentPolicy(base_user_agent=f"phichat/{__version__}")
    # No policy that logs requests: their addresses open what they name.
    return PipelineClient(
        "https://ml.azure.com", policies=[RequestIdPolicy(), agent, RetryPolicy(), *policies]
    )


def _get(client: PipelineClient[Any, Any], address: str, **headers: str) -> HttpResponse:
    from azure.core.rest import HttpRequest

    response: HttpResponse = client.send_request(HttpRequest("GET", address, headers=headers))
    response.read()
    return response


def _checked(response: HttpResponse) -> HttpResponse:
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

    if response.status_code < 300:
        return response
    kinds = {401: ClientAuthenticationError, 404: ResourceNotFoundError}
    raise kinds.get(response.status_code, HttpResponseError)(response=response)


def _seconds(told: Any) -> float | None:
    from datetime import datetime

    if not told:
        return None
    # Azure writes seven digits of a second, Python reads six.
    text = str(told).replace("Z", "+00:00")
    head, dot, tail = text.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    return datetime.fromisoformat(
        f"{head}{dot}{digits[:6].ljust(6, '0')}{tail[len(digits) :]}" if dot else text
    ).timestamp()
