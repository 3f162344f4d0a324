"""Model servers: processes that outlive the application, are found again and never started twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from phichat.backends import openai
from phichat.backends.base import Report
from phichat.backends.process import ProcessJobs
from phichat.errors import BackendError, NotFoundError, UnavailableError
from phichat.events import Artifact, Event, Status, parse

POLL_SECONDS = 0.05
LOAD_SECONDS = 600.0
"""How long a server may take to load a model before it counts as failed."""


class ModelServers:
    """Servers by name. Whoever starts or stops one holds that name's lock (`locked`)."""

    def __init__(self, directory: Path) -> None:
        self._jobs = ProcessJobs(directory)

    def running(self) -> list[str]:
        """The names of the servers whose processes are alive."""
        return [name for name in self._jobs.names() if self.runs(name)]

    def runs(self, name: str) -> bool:
        """Whether the server's process is alive."""
        try:
            return not self._jobs.status(name).finished
        except NotFoundError:
            return False

    def url(self, name: str) -> str | None:
        """Where the server listens, in its own word; None before it does."""
        said = (
            event.uri
            for event in self._events(name)
            if isinstance(event, Artifact) and event.name == "server"
        )
        return next(said, None)

    def log(self, name: str) -> AsyncGenerator[str, None]:
        """The lines that the server has written.

        Raises:
            NotFoundError: no server of that name has run.
        """
        return self._jobs.log(name)

    async def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> Literal["done", "reused"]:
        """Have a server run with exactly this command: one that does is reused, another one replaced."""
        if self.runs(name) and self._jobs.command(name) == list(command):
            return "reused"
        await self.stop(name)
        await asyncio.to_thread(self._jobs.start, name, command, env=environment)
        return "done"

    async def stop(self, name: str) -> None:
        """End a server and forget its log; one that is gone already is no error."""
        with contextlib.suppress(NotFoundError):
            await self._jobs.cancel(name)
            await asyncio.to_thread(self._jobs.remove, name)

    async def doing(self, name: str) -> str:
        """`ready`; or why it does not answer: `starting`, `loading`, `stopped`."""
        import httpx

        if not self.runs(name):
            return "stopped"
        url = self.url(name)
        if url is None:
            return "starting"
        try:
            async with openai.client(url) as http:
                answer = await http.get(f"{url}/health", timeout=5)
            return str(answer.json().get("status", "starting"))
        except (httpx.HTTPError, ValueError):
            return "starting" if self.runs(name) else "stopped"

    async def until_ready(self, name: str, report: Report) -> None:
        """Wait until the server answers, and report what it says of its own loading.

        Raises:
            BackendError: it ended; its own last sentence is the message.
            UnavailableError: it takes longer than `LOAD_SECONDS`.
        """
        told = 0
        for _ in range(round(LOAD_SECONDS / POLL_SECONDS)):
            said = list(self._events(name))
            for event in said[told:]:
                report(event)
            told = len(said)
            doing = await self.doing(name)
            if doing == "ready":
                return
            if doing == "stopped":
                raise BackendError(self._last_words(name))
            await asyncio.sleep(POLL_SECONDS)
        raise UnavailableError(f"The model server {name!r} is still not ready.", "phichat status")

    def _events(self, name: str) -> Iterator[Event]:
        with contextlib.suppress(NotFoundError):
            for line in self._jobs.lines(name):
                yield parse(line)

    def _last_words(self, name: str) -> str:
        said = [e.detail for e in self._events(name) if isinstance(e, Status) and e.state == "failed"]
        return (
            said[-1]
            if said
            else f"The model server ended before it was ready. {self._jobs.status(name).detail}"
        )
