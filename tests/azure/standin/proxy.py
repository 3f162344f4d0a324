"""An HTTPS proxy on 127.0.0.1 that does not pass anything on: it answers in the name of every host."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase

from tests.azure.standin.faults import DroppedError
from tests.azure.standin.wire import Request, Response

IDLE_S = 120.0


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, context: ssl.SSLContext, answer: Callable[[Request], Response]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = context
        self.answer = answer
        self.open: set[socket.socket] = set()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error; what a service raises is told by `answer`."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    """Headers and body are two writes: the second would wait 40 ms for the first to be acknowledged."""
    server: _Server
    timeout = IDLE_S
    _host = ""

    def do_CONNECT(self) -> None:
        """From here on, whoever connected believes to speak to that host."""
        self._host = self.path.partition(":")[0]
        self.send_response_only(200, "Connection established")
        self.end_headers()
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.server.open.add(self.connection)
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = _Writer(self.connection)
        self.close_connection = False

    def finish(self) -> None:
        """Close the tunnel: the server itself knows only the socket that it was made from."""
        self.server.open.discard(self.connection)
        super().finish()
        self.connection.close()

    def _any(self) -> None:
        self._acknowledge()
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self._chunks()
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self._host, self.path, headers, body)
        try:
            response = self.server.answer(request)
        except DroppedError:
            self.close_connection = True
            return
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.stream is not None:
            self._streamed(response.stream)
            return
        if "Content-Length" not in response.headers:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815  # names of http.server

    def _streamed(self, pieces: Generator[bytes, None, None]) -> None:
        """Send each piece when it is there; a client that goes away ends what makes them."""
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.closing(pieces):
            for piece in pieces:
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _acknowledge(self) -> None:
        """Let the client send the body: it waits until the headers are acknowledged, else for 40 ms."""
        if quick := getattr(socket, "TCP_QUICKACK", None):
            self.connection.setsockopt(socket.IPPROTO_TCP, quick, 1)

    def _chunks(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return b""
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


class _Writer(BufferedIOBase):
    """Writes to the tunnel at once."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # bytes are all that is written
        self._connection.sendall(data)
        return len(data)


class Proxy:
    """The server in a thread of its own."""

    def __init__(self, context: ssl.SSLContext, answer: Callable[[Request], Response]) -> None:
        self._server = _Server(context, answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """End every connection, and every thread that waits on one."""
        self._server.shutdown()
        for connection in [*self._server.open]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join(10)
