"""A client that is killed while it deploys, shifts or deletes: the same command finishes, `down` the rest."""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.azure import clients
from tests.azure.clients import Clients
from tests.azure.serving import only, play_containers
from tests.azure.standin.cloud import SUBSCRIPTION, Cloud
from tests.azure.standin.wire import Request

DEPLOY = ("deploy", "../model", "--yes", "--name")
STORY = (
    (*DEPLOY, "first"),
    (*DEPLOY, "second"),
    ("rollback",),
    ("down", "--old", "--yes"),
    ("down", "--yes"),
)
"""A model, a second one shifted in, back, the newer one deleted, then all of it."""


@pytest.fixture(scope="module")
def started(azure: Cloud) -> Iterator[Clients]:
    with clients.opened() as found:
        yield found


class Client:
    """Runs commands in a project on Azure, each in a process of its own, and kills one when it is told."""

    def __init__(self, cloud: Cloud, started: Clients, folder: Path) -> None:
        self._cloud, self._started = cloud, started
        self._project, self._trainer = folder / "lab", folder / "trainer"
        self._project.mkdir()
        config = f'backend = "azureml"\n[backends.azureml]\nsubscription_id = "{SUBSCRIPTION}"\n'
        (self._project / "phichat.toml").write_text(config, encoding="utf-8")
        for name in ("trainer", "model"):
            (folder / name).mkdir()
        (self._trainer / "Dockerfile").write_text('CMD ["python"]\n', encoding="utf-8")
        for name in ("config.json", "tokenizer.json"):
            (folder / "model" / name).write_text("{}", encoding="utf-8")
        # No tensors: eight bytes say how long what describes them is.
        (folder / "model" / "model.safetensors").write_bytes(b"\x02" + bytes(7) + b"{}")

    def run(self, command: tuple[str, ...]) -> list[str]:
        """Run a command to its end; what it changed."""
        before = len(self._cloud.made())
        assert self._started.wait(self._started.run(self._project, self._trainer, *command)) == 0, command
        return self._cloud.made()[before:]

    def killed(self, command: tuple[str, ...], number: int) -> None:
        """Run a command that is killed when so many requests have changed something, before an answer."""
        pid, known, before = 0, threading.Event(), len(self._cloud.made())

        def kill(request: Request) -> None:
            if len(self._cloud.made()) == before + number and request.mutating:
                assert known.wait(30)
                os.kill(pid, signal.SIGKILL)

        self._cloud.after = kill
        try:
            pid = self._started.run(self._project, self._trainer, *command)
            known.set()
            assert self._started.wait(pid) == -signal.SIGKILL, (command, number)
        finally:
            self._cloud.after = lambda request: None
        assert len(self._cloud.made()) == before + number


@pytest.fixture
def client(cloud: Cloud, started: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    play_containers(monkeypatch)
    cloud.empty()
    cloud.workspaces.make("phichat", "phichat")
    return Client(cloud, started, tmp_path)


@pytest.mark.timeout(300)
def test_wherever_it_is_killed_the_same_command_finishes_and_down_leaves_nothing(
    cloud: Cloud, client: Client
) -> None:
    for command in STORY:
        restore = saved(cloud)
        whole, after = client.run(command), shape(cloud)
        assert whole, command
        for number in range(1, len(whole) + 1):
            restore()
            serving = answering(cloud)
            client.killed(command, number)
            if command[0] != "down":
                assert not serving or sum(traffic(cloud).values()) == 100, "whoever asks is answered"
            client.run(command)
            assert shape(cloud) == after, f"{command} killed after {whole[number - 1]}"
            client.run(STORY[-1])
            assert shape(cloud) == [], f"{command} killed after {whole[number - 1]}"
        restore()
        client.run(command)


def shape(cloud: Cloud) -> list[object]:
    """What is there, and who gets how many of the requests."""
    return [
        (endpoint.name, sorted(endpoint.deployments), endpoint.body["properties"].get("traffic") or {})
        for endpoint in cloud.endpoints.found.values()
    ]


def traffic(cloud: Cloud) -> dict[str, int]:
    return only(cloud)[1] if cloud.endpoints.found else {}


def answering(cloud: Cloud) -> bool:
    return bool(traffic(cloud))


def saved(cloud: Cloud) -> Callable[[], None]:
    """Makes the cloud again as it is now."""
    kept: list[Any] = [cloud.endpoints, cloud.models, cloud.registered]
    states = [copy.deepcopy(each.found) for each in kept]

    def restore() -> None:
        for service, state in zip(kept, states, strict=True):
            service.found = copy.deepcopy(state)
        if not cloud.registered.found:
            cloud.blobs.clear()
        cloud.forget()

    return restore
