"""Who may use a flow server: this machine, or whoever has the key; never the web pages of others."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HERE = ("127.0.0.1", "localhost", "::1")


class Door:
    """An ASGI layer around a server: with a key it asks for it, without one it serves this machine only.

    Any page that a browser here shows can send requests to this machine. What it cannot do is to send them
    without saying where it comes from, or to reach us by a name of its own.
    """

    def __init__(self, app: App, key: str = "", anybody: bool = False) -> None:
        self._app = app
        self._key = key.encode()
        self._anybody = anybody

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" and not self._anybody else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, told = refusal
        body = json.dumps({"error": {"code": "UserError", "message": told}}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self._key:
            if scope["path"] != "/score" or self._knows(headers.get(b"authorization", "")):
                return None
            return 401, "The key is missing or wrong."
        host = headers.get(b"host", "")
        if urlsplit(f"//{host}").hostname not in HERE:
            return 403, "This server is for this machine only."
        if b"origin" in headers and urlsplit(headers[b"origin"]).netloc != host:
            return 403, "This server is not for web pages of others."
        return None

    def _knows(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._key)
