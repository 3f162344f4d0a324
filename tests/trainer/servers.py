"""Real server processes for the tests."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import httpx

from tests.conftest import ROOT
from tests.trainer.answers import DEADLINE

SERVE = ROOT / "trainer" / "serve.py"
KEY = "a-key"


class ServerProcess:
    """A server, what it says, and a client for it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = ""

    def next_event(self) -> dict[str, Any]:
        """The next line on stdout; fails when there is none."""
        line = self._lines.get(timeout=DEADLINE)
        assert line is not None, "the server said nothing more"
        event: dict[str, Any] = json.loads(line)
        return event

    def last_event(self) -> dict[str, Any]:
        """What it said last, when it has ended."""
        *_, last = iter(self._lines.get, None)
        assert last is not None
        event: dict[str, Any] = json.loads(last)
        return event

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        assert url.port is not None
        return url.host, url.port

    def client(self, key: str | None = KEY) -> httpx.Client:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=DEADLINE)

    def wait_until_ready(self) -> dict[str, Any]:
        """Wait for the model; returns what `/health` says then."""
        end = time.monotonic() + DEADLINE
        with self.client() as client:
            while (answer := client.get("/health")).status_code != 200:
                assert time.monotonic() < end, "the server did not get ready"
                assert self.process.poll() is None, "the server ended"
                time.sleep(0.05)
        health: dict[str, Any] = answer.json()
        return health

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)


@contextlib.contextmanager
def started(
    *arguments: str | Path, environ: Mapping[str, str] | None = None, errors: IO[str] | None = None
) -> Iterator[ServerProcess]:
    """A server that has just been started: its port is known, its model is not loaded."""
    process = subprocess.Popen(
        [sys.executable, SERVE, "--port", "0", *map(str, arguments)],
        env={**os.environ, "PHICHAT_SERVE_KEY": KEY, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        encoding="utf-8",
    )
    server = ServerProcess(process)
    try:
        server.url = server.next_event()["uri"]
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def ready(
    *arguments: str | Path, environ: Mapping[str, str] | None = None, errors: IO[str] | None = None
) -> Iterator[ServerProcess]:
    """A server whose model is loaded."""
    with started(*arguments, environ=environ, errors=errors) as server:
        server.wait_until_ready()
        yield server
