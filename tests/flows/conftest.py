"""Flow servers on both engines."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from phichat.flowrunner import EngineName, Environment, engine
from phichat.flowrunner.server import FlowServer, Servers
from tests.flows.upstream import Upstream, deployed


@dataclass
class Served:
    """A flow server, and the deployment behind it."""

    engine: EngineName
    server: FlowServer
    upstream: Upstream
    folder: Path
    """All that it writes is in here."""
    home: Path
    """The home folder that it sees."""

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.server.url, timeout=60)


@contextlib.contextmanager
def serving(name: EngineName, environment: Environment, upstream: Upstream, place: Path) -> Iterator[Served]:
    """A flow server with a home folder of its own."""
    servers, home = Servers(place / "flow"), place / "home"
    home.mkdir(parents=True)
    server = FlowServer(engine=name, port=free_port(), upstream=upstream.url, deployment="d", asks="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
        asyncio.run(servers.start(engine(name, environment), server, upstream.environ))
    try:
        yield Served(name, server, upstream, servers.folder, home)
    finally:
        asyncio.run(servers.stop())


@pytest.fixture(scope="module", params=["promptflow", "plain"])
def served(
    request: pytest.FixtureRequest, environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The chat flow on either engine: what a test asks of one holds for both."""
    with (
        deployed() as upstream,
        serving(request.param, environment, upstream, tmp_path_factory.mktemp("served")) as running,
    ):
        yield running


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def files_in(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return [Path(place) / name for place, _, names in os.walk(folder) for name in names]
