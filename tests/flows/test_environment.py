"""The environment of Prompt flow where something goes wrong; the other tests show that it works."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from phichat.errors import BackendError, ConfigError, UnavailableError
from phichat.events import Event, Step, unheard
from phichat.flowrunner import Environment
from phichat.flowrunner.running import run
from tests.flows.conftest import free_port

pytestmark = pytest.mark.timeout(600)  # the first run of all makes the environment


async def test_a_package_that_cannot_be_had(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("./nowhere\n", encoding="utf-8")
    environment = Environment(tmp_path / "cache", requirements)
    told: list[Event] = []
    with pytest.raises(BackendError, match=r"could not be made: .*nowhere") as error:
        await environment.setup(told.append)
    assert "phichat flow setup" in error.value.hint
    assert told[-1].model_copy(update={"at": 0}) == Step(name="Prompt flow", state="failed", at=0)
    assert not environment.ready
    with pytest.raises(ConfigError, match="not set up"):
        _ = environment.python


async def test_a_network_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"--index-url http://127.0.0.1:{free_port()}/\nnowhere==1\n", encoding="utf-8")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(UnavailableError, match="made: the package index cannot be reached") as error:
        await Environment(tmp_path / "cache", requirements).setup(unheard)
    assert error.value.hint.startswith("Check the network and the package index")


async def test_what_is_there_is_left_alone(environment: Environment) -> None:
    told: list[Event] = []
    await environment.setup(told.append)
    assert [(event.name, event.state) for event in told if isinstance(event, Step)] == [
        ("Prompt flow", "reused")
    ]


def test_other_pins_are_another_environment(tmp_path: Path) -> None:
    folders = set()
    for pin in ("a==1", "a==2"):
        requirements = tmp_path / "requirements.txt"
        requirements.write_text(pin, encoding="utf-8")
        folders.add(Environment(tmp_path, requirements).folder)
    assert len(folders) == 2


async def test_a_command_that_nobody_waits_for_ends_with_its_children(tmp_path: Path) -> None:
    child = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    log = tmp_path / "log"
    begun = asyncio.Event()
    look = lambda: begun.set() if log.read_text(encoding="utf-8").strip() else None  # noqa: E731
    waiting = asyncio.create_task(run([sys.executable, "-c", code], log, look=look))
    await asyncio.wait_for(begun.wait(), 60)
    process = psutil.Process(int(log.read_text(encoding="utf-8")))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not process.is_running()
