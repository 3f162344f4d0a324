"""The life of the server process: loads while it answers, ends when told to, when idle, or on failure."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Literal

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from api import Api
from contract import EngineError
from events import say
from folder import find, look_at

STOP_SECONDS = 1
"""How long answers and connections have to end."""


class Server(uvicorn.Server):
    """Ends with an outcome of its own, rather than by the signal that it got."""

    def __init__(self, api: Api) -> None:
        super().__init__(
            uvicorn.Config(
                api.app(),
                lifespan="off",
                ws="none",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._api = api
        self.code = 0
        self.state: Literal["cancelled", "succeeded", "failed"] = "cancelled"
        self.detail = "Stopped."

    def end(self, code: int, state: Literal["cancelled", "succeeded", "failed"], detail: str) -> None:
        """End soon, with this outcome; the first one counts."""
        if not self.should_exit:
            self.code, self.state, self.detail = code, state, detail
        self.should_exit = True

    async def end_when_idle(self, seconds: float) -> None:
        """End when nobody has asked anything for so long."""
        left = seconds
        while left > 0:
            await asyncio.sleep(left)
            left = seconds - self._api.idle_seconds
        self.end(0, "succeeded", f"Nobody asked anything for {seconds:g} s.")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's own, which raises the signal again in the end."""

        def stop(number: int, _: object) -> None:
            self.end(0, "cancelled", f"Stopped by {signal.Signals(number).name}.")

        before = {number: signal.signal(number, stop) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the answers first: each ends with what it has."""
        if self._api.engine is not None:
            await asyncio.to_thread(self._api.engine.close, STOP_SECONDS)
        await super().shutdown(sockets)


async def run(arguments: argparse.Namespace, listener: socket.socket) -> int:
    """Serve on a socket that listens already; returns the exit code."""
    api = Api(arguments.name or arguments.model.absolute().name, arguments.key)
    server = Server(api)
    say("artifact", name="server", uri=_address(listener))
    # A thread of its own, not one of asyncio's pool: that is waited for in the end, and loading takes long.
    loop = asyncio.get_running_loop()
    threading.Thread(target=_load, args=(arguments, api, server, loop), name="load", daemon=True).start()
    idle = asyncio.ensure_future(server.end_when_idle(arguments.idle_stop)) if arguments.idle_stop else None
    await server.serve(sockets=[listener])
    if idle is not None:
        idle.cancel()
    say("status", state=server.state, detail=server.detail)
    return server.code


def _load(arguments: argparse.Namespace, api: Api, server: Server, loop: asyncio.AbstractEventLoop) -> None:
    say("status", state="preparing", detail=f"Loading {arguments.name or arguments.model.absolute().name}.")
    try:
        folder = find(arguments.model)
        look_at(folder)
        from engine import Engine  # loads PyTorch, which takes seconds

        engine = Engine(folder, arguments.device, arguments.threads, arguments.cache_bytes)
    except Exception as error:
        detail = str(error) if isinstance(error, EngineError) else f"The model cannot be loaded: {error}"
        loop.call_soon_threadsafe(server.end, 1, "failed", detail)
        return
    loop.call_soon_threadsafe(api.ready, engine)
    say("status", state="running", detail=f"Ready, with a context of {engine.context:,} tokens.")


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
