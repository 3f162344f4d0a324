"""What can go wrong on the wire, on demand."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass

from tests.azure.standin.wire import Request, Response, error

END = b"\n\n"
"""Of a server-sent event."""


class DroppedError(Exception):
    """The connection ends without an answer."""


@dataclass
class Fault:
    """Goes wrong for the next `times` requests that fit, after `skip` that go well."""

    method: str
    path: str
    act: Callable[[Request, Callable[[Request], Response]], Response]
    times: int = 1
    skip: int = 0

    def takes(self, request: Request) -> bool:
        """Whether this request goes wrong; counts it."""
        if not re.fullmatch(self.method, request.method) or not re.search(self.path, str(request)):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times <= 0:
            return False
        self.times -= 1
        return True


def instead(response: Response) -> Callable[[Request, Callable[[Request], Response]], Response]:
    """Answer this, and do nothing."""
    return lambda request, handle: response


def busy(status: int = 429) -> Callable[[Request, Callable[[Request], Response]], Response]:
    """Throttled, or broken for a moment; the client may come again at once."""
    return instead(
        error(status, "TooManyRequests" if status == 429 else "ServerError", "Not now.", Retry_After="0.01")
    )


def drop_before(request: Request, handle: Callable[[Request], Response]) -> Response:
    """The connection ends before the server acts."""
    raise DroppedError


def drop_after(request: Request, handle: Callable[[Request], Response]) -> Response:
    """The connection ends after the server acted: the client cannot know."""
    handle(request)
    raise DroppedError


def drop_in_the_middle(request: Request, handle: Callable[[Request], Response]) -> Response:
    """The connection ends after two events of a streamed answer: who answers, and its first words."""
    response = handle(request)
    assert response.stream is not None
    stream = response.stream

    def cut() -> Generator[bytes, None, None]:
        sent = b""
        with contextlib.closing(stream):
            # Several events may come in one piece.
            while sent.count(END) < 2:
                sent += next(stream)
        yield END.join(sent.split(END)[:2]) + END
        raise DroppedError

    return Response(response.status, b"", response.headers, cut())
