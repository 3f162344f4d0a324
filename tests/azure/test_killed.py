"""A client that is killed while it submits: whoever starts again finishes, and makes nothing twice."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from phichat.backends.base import TrainSpec
from tests.azure import clients
from tests.azure.clients import Clients
from tests.azure.standin.cloud import Cloud
from tests.azure.standin.wire import Request
from tests.azure.training import forever, spec_of


@pytest.fixture(scope="module")
def started(azure: Cloud) -> Iterator[Clients]:
    azure.jobs.play = forever
    with clients.opened() as found:
        yield found


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, TrainSpec]:
    """A project and a small trainer: few files, so that each can be the last one."""
    folder = tmp_path_factory.mktemp("project")
    trainer = folder / "trainer"
    trainer.mkdir()
    (trainer / "conda.yaml").write_text("name: small\n", encoding="utf-8")
    return folder, trainer, spec_of(folder)


def test_nothing_twice_and_nothing_lost_wherever_it_is_killed(
    cloud: Cloud, started: Clients, work: tuple[Path, Path, TrainSpec]
) -> None:
    _fresh(cloud)
    assert started.wait(started.submit(*work)) == 0
    whole = cloud.made()
    assert len(whole) == len(set(whole)) and whole[-1].endswith("/jobs/first")
    for number in range(1, len(whole) + 1):
        _fresh(cloud)
        assert _killed_after(number, cloud, started, work) == -signal.SIGKILL
        assert len(cloud.made()) == number
        assert started.wait(started.submit(*work)) == 0
        assert Counter(cloud.made()) == Counter(whole), f"killed after {whole[number - 1]}"
        assert list(cloud.jobs.found) == ["first"]


def _fresh(cloud: Cloud) -> None:
    cloud.forget()
    cloud.empty()
    cloud.workspaces.make("phichat", "phichat")


def _killed_after(number: int, cloud: Cloud, started: Clients, work: tuple[Path, Path, TrainSpec]) -> int:
    """Submit, and be killed when so many requests have changed something, before any answer comes."""
    pid, known = 0, threading.Event()

    def kill(request: Request) -> None:
        if len(cloud.made()) == number and request.mutating:
            assert known.wait(30)
            os.kill(pid, signal.SIGKILL)

    cloud.after = kill
    try:
        pid = started.submit(*work)
        known.set()
        return started.wait(pid)
    finally:
        cloud.after = lambda request: None
