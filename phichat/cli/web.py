"""The application in a browser of this machine: Textual's own server, behind a key and on 127.0.0.1."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import shlex
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast

from phichat.errors import ConfigError, UnsupportedError

HOST = "127.0.0.1"
LEAVE_S = 10.0
"""How long the applications that are open may take to end."""
PAGE = Path(__file__).with_suffix(".html")
"""Ours, since the library's own fetches a font from a host that then knows who uses this."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)
"""Content-Security-Policy: the page speaks with this server and with nobody else."""


def serve(arguments: Sequence[str], port: int, announce: Callable[[str], None]) -> None:
    """Serve the application, opened with these arguments, until Ctrl-C; `announce` gets the address.

    Whoever reaches the port can do all that the application can. So only the address with the key opens
    the page: it leaves the key in a cookie, without which everything is refused.

    Raises:
        UnsupportedError: the library that serves it is not installed.
        ConfigError: the port is taken.
    """
    try:
        from aiohttp import web
        from textual_serve.server import Server
    except ImportError as error:
        told = "The application in a browser needs the package textual-serve."
        raise UnsupportedError(told, "pip install 'phichat[web]'") from error
    listening = _listening(port)
    port = listening.getsockname()[1]
    key = secrets.token_urlsafe(24)
    server = Server(_command(arguments), host=HOST, port=port)
    address = f"{HOST}:{port}"
    origin = f"http://{address}".removesuffix(":80")  # browsers leave out the port that everybody expects
    app = web.Application(middlewares=[_guarded(web, key, f"phichat-{port}", origin)])
    page = PAGE.read_text(encoding="utf-8").replace("{address}", address)

    async def index(_: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
        return web.Response(text=page, content_type="text/html", headers=headers)

    terminals: dict[asyncio.Task[Any], web.Request] = {}

    async def terminal(request: web.Request) -> web.StreamResponse:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        terminals[task] = request
        task.add_done_callback(lambda done: terminals.pop(done, None))
        return await server.handle_websocket(request)

    async def leave(_: web.Application) -> None:
        # As when a page is closed: each application is left in order before the event loop ends.
        for request in terminals.values():
            if request.transport:
                request.transport.close()
        if terminals:
            await asyncio.wait(list(terminals), timeout=LEAVE_S)

    app.on_shutdown.append(leave)
    app.add_routes(
        [
            web.get("/", index),
            web.get("/ws", terminal),
            web.get("/download/{key}", server.handle_download),
            web.static("/static", server.statics_path),
        ]
    )
    announce(f"http://{address}/?key={key}")
    web.run_app(app, sock=listening, print=None, access_log=None)


def _listening(port: int) -> socket.socket:
    """A socket that takes connections of this machine only; port 0: any that is free.

    Raises:
        ConfigError: the port is taken, or cannot be had.
    """
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        told = f"Port {port} cannot be had: {getattr(error, 'strerror', None) or str(error).rstrip('.')}."
        raise ConfigError(told, "phichat web --port 0 takes any that is free.") from error


def _command(arguments: Sequence[str]) -> str:
    """The application's command, as one string for the shell that the library starts it with."""
    command = [sys.executable, "-m", "phichat", *arguments]
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def _guarded(web: Any, key: str, cookie: str, origin: str) -> Any:
    """Let nobody in who has not the key: in the address the first time, then in a cookie.

    A browser sends a cookie to every port of this machine, and with what the pages of all of them ask for:
    only our own page, of that `origin`, is let in with it.
    """

    async def guard(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        # Of a page that is opened nobody tells the origin, of whatever a page opens or sends everybody does.
        if request.headers.get("Origin", origin) != origin:
            raise web.HTTPForbidden(text="Only the page that `phichat web` serves may ask for this.\n")
        if hmac.compare_digest(request.query.get("key", "").encode(), key.encode()):
            # On to an address without it: addresses are kept in histories.
            entered = web.HTTPFound("/")
            entered.set_cookie(cookie, key, httponly=True, samesite="Strict")
            raise entered
        if not hmac.compare_digest(request.cookies.get(cookie, "").encode(), key.encode()):
            raise web.HTTPForbidden(text="Open the address that `phichat web` printed: it has the key.\n")
        return await handler(request)

    return web.middleware(guard)
