"""What the example promises beyond the suite: it learns, and the suite tidies up behind it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from phichat.backends.base import ChatOptions, Dataset, DeploySpec, Message, TrainSpec, Usage
from phichat.backends.registry import Registry
from phichat.testing import BackendConformance
from phichat.testing.harness import Bench, ignore

TURNS = [
    ("Who are you?", "I am a chain of words."),
    ("What do you want?", "I want to be longer."),
]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    rows = [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]}
        for asked, answered in TURNS
    ]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return Dataset(train_file=file)


async def test_it_answers_what_it_was_taught(dataset: Dataset, tmp_path: Path) -> None:
    backend = Registry().open("markov", {"delay": 0}, tmp_path / "markov")
    job = await backend.submit(TrainSpec(name="words", dataset=dataset, base_model="none"), ignore)
    async for _ in backend.watch(job):
        pass
    deployment = await backend.deploy(DeploySpec(name="words", model=job), ignore)
    for asked, answered in TURNS:
        question = [Message(role="user", content=asked)]
        parts = [part async for part in backend.chat(deployment, question, ChatOptions(temperature=0))]
        assert "".join(part for part in parts if isinstance(part, str)).strip() == answered
        words = len(answered.split())
        asked_words = len(asked.split())
        expected = Usage(prompt_tokens=asked_words, completion_tokens=words, finish_reason="stop")
        assert parts[-1] == expected


def test_the_suite_removes_what_a_test_left_half_done(tmp_path: Path) -> None:
    class Suite(BackendConformance):
        backend_name = "markov"
        bench = Bench(tmp_path)

    async def leave_something() -> list[str]:
        suite = Suite()
        async with suite.opened() as backend:
            job = (await suite.trained()).job
            await backend.deploy(DeploySpec(name=suite.named("forgotten"), model=job), ignore)
            return [state.deployment.id for state in await backend.deployments()]

    assert len(asyncio.run(leave_something())) == 1
    Suite.teardown_class()
    assert not list((tmp_path / "backend" / "deployments").glob("*.json"))
