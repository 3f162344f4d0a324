"""One line of phichat.toml: what was trained on this machine is trained on Azure, and comes home."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from phichat.events import Metric, Reply, Status, parse
from tests.azure import test_whole_way
from tests.azure.standin.cloud import Cloud
from tests.azure.test_whole_way import Phichat

phichat = test_whole_way.phichat


LOCAL = """\
[backends.local]
device = "cpu"
threads = 1
"""


@pytest.fixture
def at_home(phichat: Phichat, tmp_path: Path) -> Iterator[Phichat]:
    """The project, on this machine for now; what was started here is stopped in the end."""
    file = tmp_path / "lab" / "phichat.toml"
    text = file.read_text(encoding="utf-8").replace('backend = "azureml"', 'backend = "local"', 1)
    file.write_text(f"{text}{LOCAL}", encoding="utf-8")
    yield phichat
    phichat("down", "--yes", "--backend", "local")


def kinds(lines: str) -> list[tuple[str, int | str]]:
    """What a run told, but for when and how fast."""
    told: list[tuple[str, int | str]] = []
    for event in map(parse, lines.splitlines()):
        if isinstance(event, Metric):
            told.append((",".join(sorted(event.values)), event.step))
        elif isinstance(event, Status) and event.finished:
            told.append((event.kind, event.state))
    return told


@pytest.mark.timeout(300)
def test_it_is_one_line(empty: Cloud, at_home: Phichat, tmp_path: Path) -> None:
    at_home("data", "demo")
    here = at_home("train", "--json").out
    file = tmp_path / "lab" / "phichat.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('backend = "local"', 'backend = "azureml"', 1), encoding="utf-8")

    at_home("provision", "--yes")
    at_home("check")
    empty.jobs.holding = True
    name = at_home("train", "--detach", "--yes").last
    command = [sys.executable, "-m", "phichat", "watch", name, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as second:
        empty.jobs.holding = False
        first = at_home("watch", name, "--json").out
        assert second.stdout is not None
        assert second.stdout.read() == first, "two terminals hear the same"
    assert second.returncode == 0
    assert kinds(first) == kinds(here), "and what was heard on this machine"

    model = at_home("fetch", name).last
    at_home("deploy", model, "--backend", "local")
    said = at_home("chat", "-p", "Who are you?", "--json", "--max-new-tokens", "4", "--backend", "local").out
    (reply,) = [event for event in map(parse, said.splitlines()) if isinstance(event, Reply)]
    assert reply.completion_tokens
