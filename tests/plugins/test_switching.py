"""One line of configuration switches the backend, and each keeps what is its own."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from phichat.backends.base import Dataset, Message
from phichat.backends.registry import Registry
from phichat.errors import ConfigError
from phichat.events import Reply, Status
from phichat.testing.harness import ignore
from phichat.workflow import Project

HELLO = [Message(role="user", content="Hello")]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good morning."}]
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps({"messages": turns}), encoding="utf-8")
    return Dataset(train_file=file)


def project(folder: Path, backend: str) -> Project:
    """The project with one line of its file changed; the example under two names stands for two places."""
    (folder / "phichat.toml").write_text(f'backend = "{backend}"\n', encoding="utf-8")
    places = [EntryPoint(name, "phichat_markov", "phichat") for name in ("here", "there")]
    return Project.open(folder, registry=Registry(lambda: places))


async def test_the_same_work_elsewhere_is_another_run(tmp_path: Path, dataset: Dataset) -> None:
    names = set()
    for backend in ("here", "there"):
        async with project(tmp_path, backend) as opened:
            run = await opened.train(dataset, ignore)
            names.add(run.name)
            assert (run.backend, run.state) == (backend, "running")
            last = [event async for event in opened.watch(run.name)][-1]
            assert isinstance(last, Status) and last.state == "succeeded"
    assert len(names) == 2


async def test_a_name_that_is_taken_elsewhere_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    async with project(tmp_path, "here") as opened:
        await opened.train(dataset, ignore, name="mine")
    async with project(tmp_path, "there") as opened:
        with pytest.raises(ConfigError, match="The run 'mine' is on backend 'here'"):
            await opened.train(dataset, ignore, name="mine")


async def test_each_backend_keeps_its_current_deployment(tmp_path: Path, dataset: Dataset) -> None:
    for backend in ("here", "there"):
        async with project(tmp_path, backend) as opened:
            run = await opened.train(dataset, ignore)
            async for _ in opened.watch(run.name):
                pass
            await opened.deploy(run.job, ignore)
    for backend in ("here", "there"):
        async with project(tmp_path, backend) as opened:
            replies = [part async for part in opened.chat(HELLO) if isinstance(part, Reply)]
            assert replies[0].text.strip() == "Good morning."
