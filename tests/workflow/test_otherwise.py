"""Asking again gives another answer, where the same would come as configured."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from phichat.backends.base import ChatOptions, Deployment
from phichat.errors import UnavailableError
from phichat.screens.chat.branches import options_of
from phichat.workflow import Project
from tests.screens.scripted import Script, opener

FIRST, SECOND = Deployment(id="first"), Deployment(id="second")


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def project(script: Script, tmp_path: Path) -> AsyncGenerator[Project, None]:
    project = opener(script, tmp_path)()
    yield project
    await project.aclose()


class Asking:
    """One question, asked again and again."""

    def __init__(self, project: Project, script: Script) -> None:
        self.project = project
        self.script = script
        self.log = project.conversations.new()
        self.question = ""

    async def __call__(
        self, options: ChatOptions | None = None, deployment: Deployment = FIRST, *, breaks: bool = False
    ) -> tuple[float, int | None]:
        """How the model was asked in the end: temperature and seed."""
        if self.question:
            self.log.back_to(self.question)
        else:
            self.question = (await self.project.conversations.ask(self.log, "A city?")).id
        if breaks:
            self.script.answers.put_nowait("Par")
            self.script.answers.put_nowait(UnavailableError("It broke off."))
        else:
            self.script.say("Paris.")
        try:
            async for _ in self.project.conversations.answer(self.log, options, deployment):
                pass
        except UnavailableError:
            assert breaks
        asked = self.script.options[-1]
        return asked.temperature, asked.seed


@pytest.fixture
def asking(project: Project, script: Script) -> Asking:
    return Asking(project, script)


async def test_first_the_answer_that_was_measured_then_others(asking: Asking) -> None:
    assert await asking() == (0, None)
    assert await asking() == (0.7, None)
    assert await asking() == (0.7, None)
    assert options_of(asking.log.transcript) == asking.project.conversations.options()


async def test_from_a_seed_every_answer_is_another_and_can_be_repeated(asking: Asking) -> None:
    seeded = ChatOptions(temperature=0.5, seed=7)
    assert [await asking(seeded) for _ in range(3)] == [(0.5, 7), (0.5, 8), (0.5, 9)]
    assert options_of(asking.log.transcript) == seeded
    cold = ChatOptions(seed=7)
    assert [await asking(cold) for _ in range(3)] == [(0, 7), (0.7, 7), (0.7, 8)]


async def test_who_asks_otherwise_gets_what_was_asked_for(asking: Asking) -> None:
    await asking()
    longer = ChatOptions(max_new_tokens=9)
    assert await asking(longer) == (0, None)
    assert options_of(asking.log.transcript) == longer
    assert await asking(ChatOptions(temperature=0.3)) == (0.3, None)


async def test_another_model_answers_as_configured(asking: Asking) -> None:
    await asking()
    assert await asking(deployment=SECOND) == (0, None)
    assert await asking(deployment=SECOND) == (0.7, None)


async def test_what_broke_off_is_tried_as_it_was(asking: Asking) -> None:
    await asking(breaks=True)
    assert await asking() == (0, None)
