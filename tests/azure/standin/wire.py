"""Requests, responses and routes: what every service of the stand-in is written with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Json = dict[str, Any]
MUTATING = frozenset({"PUT", "POST", "PATCH", "DELETE"})
READING_POSTS = re.compile(
    r"/(?:listSecrets|listKeys|getLogs|score|chat/completions|oauth2|token|get-client-secret)\b|checkAccess",
    re.IGNORECASE,
)
"""POSTs that change nothing: they only ask in a way that no address shows."""


@dataclass(frozen=True)
class Request:
    """One request as it came out of the tunnel."""

    method: str
    host: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Json:
        value: Json = json.loads(self.body or b"{}")
        return value

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def mutating(self) -> bool:
        """Whether it changes something."""
        return self.method in MUTATING and not (
            self.method == "POST" and READING_POSTS.search(self.path) is not None
        )

    def __str__(self) -> str:
        return f"{self.method} https://{self.host}{self.path}"


@dataclass(frozen=True)
class Response:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Generator[bytes, None, None] | None = field(default=None, repr=False)
    """Sent piece by piece instead of `body`, as it comes."""


def answer(value: Any, status: int = 200, **headers: str) -> Response:
    """A JSON answer; `retry_after="0"` is the header Retry-After."""
    told = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, json.dumps(value).encode(), {"Content-Type": "application/json", **told})


def error(status: int, code: str, message: str, **headers: str) -> Response:
    """An error as the resource manager writes it."""
    return answer({"error": {"code": code, "message": message}}, status, **headers)


Handler = Callable[..., Response]


class Service:
    """A part of Azure: its routes are its methods that `route` marks, and its state is its attributes."""

    def routes(self) -> list[Route]:
        """Every route, in the order of the class."""
        return [
            Route(method, host, path, getattr(self, name))
            for name, member in vars(type(self)).items()
            for method, host, path in getattr(member, "routes", ())
        ]


@dataclass(frozen=True)
class Route:
    """Which requests a handler takes; the named groups of `path` are its arguments."""

    method: str
    host: re.Pattern[str]
    path: re.Pattern[str]
    handler: Handler

    def match(self, request: Request) -> dict[str, str] | None:
        if request.method != self.method or not self.host.fullmatch(request.host):
            return None
        found = self.path.fullmatch(request.path)
        return None if found is None else found.groupdict()


def route(method: str, host: str, path: str) -> Callable[[Handler], Handler]:
    """Mark a method as the handler of requests; `host` and `path` are patterns, whatever their case."""

    def mark(handler: Handler) -> Handler:
        marks = [*getattr(handler, "routes", ())]
        marks.append((method, re.compile(host, re.IGNORECASE), re.compile(path, re.IGNORECASE)))
        handler.routes = marks  # type: ignore[attr-defined]
        return handler

    return mark
