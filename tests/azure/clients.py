"""Clients that are processes of their own, and can be killed: forked from one that has loaded all libraries.

As a script it is that process. It reads one JSON object a line: a project's folder, and a specification that
a new process submits or a command line that it runs. `wait` is answered with the end of one.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phichat.backends.base import TrainSpec
from tests.conftest import ROOT

LIBRARIES = (
    "azure.identity",
    "azure.storage.blob",
    "azure.mgmt.core.policies",
    "httpx",
    "tests.azure.places",
    "phichat.backends.azureml.storage",
    "phichat.backends.azureml.backend",
    "phichat.cli.amounts",
    "phichat.cli.narration",
    "phichat.cli.options",
    "phichat.cli.verbs.deploy",
    "phichat.cli.verbs.down",
    "phichat.workflow.estimates",
    "phichat.workflow.flows",
    "phichat.workflow.rollout",
    # What these load when they are first used.
    "anyio._backends._asyncio",
    "h11",
    "httpcore",
    "msal_extensions",
)


class Clients:
    """Starts clients, and waits for their ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def submit(self, folder: Path, trainer: Path, spec: TrainSpec) -> int:
        """Start a client that submits a training; its process id."""
        told = {"folder": str(folder), "trainer": str(trainer), "spec": spec.model_dump(mode="json")}
        return self._ask(told)

    def run(self, folder: Path, trainer: Path, *argv: str) -> int:
        """Start a client that runs a command line in a project; its process id."""
        return self._ask({"folder": str(folder), "trainer": str(trainer), "argv": argv})

    def wait(self, pid: int) -> int:
        """Its exit code, or the number of the signal that ended it, negative."""
        return self._ask({"wait": pid})

    def _ask(self, request: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(request)}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextlib.contextmanager
def opened() -> Iterator[Clients]:
    """A process to start clients from; it has this one's environment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.azure.clients"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Clients(process)
        assert process.stdin is not None
        process.stdin.close()


def main() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                _become(request)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _become(request: dict[str, Any]) -> None:
    code = 1
    try:
        code = _work(request)
    finally:
        os._exit(code)


def _work(request: dict[str, Any]) -> int:
    from phichat.backends.azureml import arm, assets, environment

    async def pause(seconds: float) -> None:
        await asyncio.sleep(0)

    arm.pause = pause
    # A small trainer: nobody runs it here.
    assets.bundled = environment.bundled = lambda name: Path(request["trainer"])  # type: ignore[attr-defined]
    if "argv" in request:
        return _command(request)
    asyncio.run(_submit(request))
    return 0


def _command(request: dict[str, Any]) -> int:
    from phichat.cli import main

    os.chdir(request["folder"])
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nowhere, number)
    return main(request["argv"])


async def _submit(request: dict[str, Any]) -> None:
    from tests.azure.places import lab_of
    from tests.azure.training import ignore

    backend = lab_of(Path(request["folder"]))
    await backend.submit(TrainSpec.model_validate(request["spec"]), ignore)
    await backend.aclose()


if __name__ == "__main__":
    main()
