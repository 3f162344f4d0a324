"""A server that speaks the protocol of Cosmos DB on this machine, fetched once, and its faults."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from pydantic import SecretStr

from phichat.history.cosmos import Place
from tests.conftest import CACHE

PACKAGE = "@vercel/cosmosdb-server"
VERSION = "1.0.1"
FOLDER = CACHE / "npm" / f"cosmosdb-server-{VERSION}"
KEY = "bm90IGEgc2VjcmV0"


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self.endpoint = f"https://127.0.0.1:{self._hear()['port']}/"

    def place(self, **changes: Any) -> Place:
        """A container that nobody has used."""
        name = f"history-{next(self._numbers)}"
        return Place(self.endpoint, "me", SecretStr(KEY), container=name, **changes)

    def fail(self, **faults: object) -> dict[str, int]:
        """Have these faults from now on, and no others; returns what was done since the last time."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(faults) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, int]:
        assert self._process.stdout
        heard: dict[str, int] = json.loads(self._process.stdout.readline())
        return heard


def installed() -> Path:
    """The folder of the package; the first test run that needs it fetches it."""
    package = FOLDER / "node_modules" / PACKAGE
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(FOLDER.with_suffix(".lock")):
        if not package.exists():
            npm = shutil.which("npm")
            assert npm, "npm comes with node"
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
            draft = FOLDER.with_name(f"{FOLDER.name}.new")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            subprocess.run([*command, "--prefix", draft, f"{PACKAGE}@{VERSION}"], check=True, cwd=draft)
            draft.rename(FOLDER)
    return package


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server of its own, gone in the end; skips the test where there is no node to run it."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node (https://nodejs.org) to run a server that speaks Cosmos DB's protocol")
    script = Path(__file__).with_name("cosmos-server.js")
    command = [node, str(script), str(installed())]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Server(process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def cosmos_server() -> Iterator[Server]:
    """A server for the tests of a module."""
    with serving() as server:
        yield server
