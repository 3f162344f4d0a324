"""The flow server of a project: a process that outlives the application and is never started twice."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from phichat.backends import openai
from phichat.backends.base import Value
from phichat.backends.process import ProcessJobs
from phichat.errors import BackendError, ConfigError, NotFoundError, UnavailableError
from phichat.flowrunner.engines import Engine, EngineName
from phichat.paths import write_atomic

NAME = "flow"
HOST = "127.0.0.1"
POLL_SECONDS = 0.1
START_SECONDS = 120.0
"""How long a server may take to answer: Prompt flow takes two seconds on a machine that does nothing else."""


class FlowServer(Value):
    """A flow server that runs."""

    engine: EngineName
    port: int
    upstream: str
    """The base URL of the deployment that it asks."""
    deployment: str
    asks: str
    """Names all of how it asks: key, options, instruction."""

    @property
    def url(self) -> str:
        """Its page; questions go to `/score`."""
        return f"http://{HOST}:{self.port}"


class Servers:
    """At most one flow server; whoever starts or stops it holds the lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "server.lock"
        self._jobs = ProcessJobs(folder / "servers")

    def running(self) -> FlowServer | None:
        """The server whose process is alive."""
        with contextlib.suppress(NotFoundError):
            if not self._jobs.status(NAME).finished:
                return self._read()
        return None

    async def start(
        self, engine: Engine, wanted: FlowServer, environ: Mapping[str, str]
    ) -> Literal["done", "reused"]:
        """Have a server run as wanted: one that does is reused, another one is replaced.

        `environ` has the key of the deployment; it goes to the process and nowhere else.

        Raises:
            ConfigError: the port is taken, or the engine is not set up.
            BackendError: the server ended; its last words are the message.
        """
        if self.running() == wanted:
            return "reused"
        await self.stop()
        _look_at(wanted.port)
        command = engine.server(wanted.port, self.folder)
        write_atomic(self._record, wanted.model_dump_json())
        variables = {**environ, **command.environ}
        await asyncio.to_thread(self._jobs.start, NAME, command.argv, env=variables)
        await self._until_healthy(wanted)
        return "done"

    async def stop(self) -> None:
        """End the server; one that is gone already is no error."""
        with contextlib.suppress(NotFoundError):
            await self._jobs.cancel(NAME)
            await asyncio.to_thread(self._jobs.remove, NAME)

    async def ended(self, server: FlowServer) -> str:
        """Wait until the server is gone; returns why, or nothing if somebody stopped or replaced it."""
        while True:
            try:
                status = await asyncio.to_thread(self._jobs.status, NAME)
            except NotFoundError:
                return ""
            if await asyncio.to_thread(self._read) != server:
                return ""
            if status.finished:
                return "" if status.state == "cancelled" else self._last_words()
            await asyncio.sleep(POLL_SECONDS)

    def log(self) -> list[str]:
        """The lines that the server has written.

        Raises:
            NotFoundError: none has run.
        """
        return list(self._jobs.lines(NAME))

    async def _until_healthy(self, wanted: FlowServer) -> None:
        import httpx

        async with openai.client(wanted.url) as http:
            for _ in range(round(START_SECONDS / POLL_SECONDS)):
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{wanted.url}/health", timeout=5)).is_success:
                        return
                if self._jobs.status(NAME).finished:
                    raise BackendError(f"The flow server ended: {self._last_words()}")
                await asyncio.sleep(POLL_SECONDS)
        raise UnavailableError("The flow server does not answer.", f"Its log is in {self.folder / 'servers'}")

    def _last_words(self) -> str:
        said = [line.strip() for line in self._jobs.lines(NAME) if line.strip()]
        return said[-1] if said else self._jobs.status(NAME).detail

    @property
    def _record(self) -> Path:
        return self.folder / "server.json"

    def _read(self) -> FlowServer | None:
        try:
            return FlowServer.model_validate_json(self._record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValidationError):
            return None


def _look_at(port: int) -> None:
    """See that nobody else listens there.

    Raises:
        ConfigError: somebody does.
    """
    try:
        with socket.create_server((HOST, port)):
            pass
    except OSError as error:
        told = f"Port {port} of this machine cannot be used: {error.strerror or error}."
        raise ConfigError(told, f"phichat flow serve --port {port + 1}") from error
