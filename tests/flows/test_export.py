"""The folder that serves the flow anywhere: complete, pinned, and on its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from phichat.errors import ConfigError
from phichat.flowrunner.export import export
from phichat.paths import bundled
from tests.conftest import ROOT
from tests.flows.conftest import free_port
from tests.flows.upstream import deployed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    export(tmp_path / "out")
    return tmp_path / "out"


@contextlib.contextmanager
def running(folder: Path, port: int, environ: dict[str, str]) -> Iterator[None]:
    """The exported server as its container starts it, but on this machine."""
    command = (folder / "Dockerfile").read_text(encoding="utf-8").splitlines()[-1].removeprefix("CMD ")
    argv = [sys.executable, *re.findall(r'"([^"]+)"', command)[1:]]
    argv[argv.index("0.0.0.0")], argv[argv.index("8080")] = "127.0.0.1", str(port)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(argv, cwd=folder, env={**clean, **environ})
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.ConnectError):
                httpx.get(f"http://127.0.0.1:{port}/health").raise_for_status()
                break
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait(10)


def test_it_serves_by_itself_to_whoever_has_the_key(folder: Path) -> None:
    port = free_port()
    with deployed() as upstream, running(folder, port, {**upstream.environ, "CHAT_FLOW_KEY": "a key"}):
        url, question = f"http://127.0.0.1:{port}/score", {"question": "Who are you?"}
        assert httpx.post(url, json=question).status_code == 401
        answer = httpx.post(url, json=question, headers={"Authorization": "Bearer a key"})
        assert answer.json() == {"answer": "Who are you?"}


def test_its_image_has_all_that_it_copies_and_needs(folder: Path) -> None:
    dockerfile = (folder / "Dockerfile").read_text(encoding="utf-8")
    for line in dockerfile.splitlines():
        if line.startswith("COPY "):
            assert all(list(folder.glob(name)) for name in line.split()[1:-1]), line
    imported = set()
    for source in folder.glob("*.py"):
        imported |= set(
            re.findall(r"^(?:from|import) (\w+)", source.read_text(encoding="utf-8"), re.MULTILINE)
        )
    own = {path.stem for path in folder.glob("*.py")}
    pinned = {re.split("==", line)[0] for line in pins(folder / "requirements.txt")}
    assert imported - own - set(sys.stdlib_module_names) <= pinned
    assert "promptflow" not in pinned


def test_everything_is_pinned_and_as_it_was_tested(folder: Path) -> None:
    tested = set(pins(ROOT / "constraints.txt"))
    for line in pins(folder / "requirements.txt"):
        assert line.replace("_", "-") in tested or line in tested
    for line in pins(bundled("flows") / "requirements.txt"):
        assert re.fullmatch(r"[\w.-]+==[\w.]+(; sys_platform == \"linux\")?", line)


def test_nothing_is_written_over(folder: Path) -> None:
    (folder / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is there already"):
        export(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == "mine"


def pins(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
