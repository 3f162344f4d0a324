"""A question is asked with what was said elsewhere, and with a summary of what no longer fits."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from phichat.backends.base import ChatOptions, Deployment, Message, Usage
from phichat.errors import NotFoundError, UnavailableError
from phichat.history import ConversationLog
from phichat.workflow import Project
from tests.screens.scripted import OneBackend, Script
from tests.test_workflow import Memory

CONTEXT = 100


class Forgetful(Memory):
    """Has a context of a hundred words, and says how it was asked."""

    asked: ClassVar[list[list[Message]]]
    fails: ClassVar[bool] = False

    async def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        self.asked.append(list(messages))
        self.script.options.append(options)
        summary = messages[-1].content.startswith("Summarise")
        if summary and self.fails:
            raise UnavailableError("Too busy.")
        yield "They spoke of quokkas." if summary else "word " * 20
        used = sum(len(message.content.split()) for message in messages)
        yield Usage(prompt_tokens=used, completion_tokens=20, finish_reason="stop", context=CONTEXT)


@pytest.fixture
def backend() -> type[Forgetful]:
    state = {"script": Script(), "specs": {}, "submitted": [], "asked": []}
    return type("OneForgetful", (Forgetful,), state)


def opened(backend: type[Forgetful], folder: Path, **chat: object) -> Project:
    flags = {f"chat.{name}": value for name, value in chat.items()}
    return Project.open(folder, flags=flags, environ=os.environ, registry=OneBackend(backend))


async def turn(project: Project, log: ConversationLog, question: str) -> None:
    await project.conversations.ask(log, question)
    async for _ in project.conversations.answer(log):
        pass


async def test_the_beginning_is_summarised_when_it_no_longer_fits(
    backend: type[Forgetful], tmp_path: Path
) -> None:
    async with opened(backend, tmp_path, overflow="summarise", max_new_tokens=20) as project:
        log = project.conversations.new()
        for number in range(5):
            await turn(project, log, f"Question {number}?")
        notes = [message for message in log.branch if message.role == "system"]
        assert "They spoke of quokkas." in notes[0].content, "the person sees what the model was shown"
        last = backend.asked[-1]
        assert last[0].content.startswith("What was said before, in short:\n\nThey spoke of quokkas.")
        assert [message.role for message in last] == ["user", "assistant", "user"]
        assert last[-1].content == "Question 4?"
        answer = log.branch[-1]
        assert log.transcript.shown(answer.id) == last
        assert len(log.branch) == 10 + len(notes), "nothing is removed from the conversation"
        assert (await project.history.read(log.conversation.id)).branch() == log.branch


async def test_while_all_fits_it_is_shown_whole(backend: type[Forgetful], tmp_path: Path) -> None:
    async with opened(backend, tmp_path, overflow="summarise", max_new_tokens=20) as project:
        log = project.conversations.new()
        for number in range(2):
            await turn(project, log, f"Question {number}?")
        assert [len(asked) for asked in backend.asked] == [1, 3]
        assert all(message.role != "system" for message in log.branch)


async def test_a_summary_that_fails_leaves_the_oldest_out(backend: type[Forgetful], tmp_path: Path) -> None:
    backend.fails = True
    async with opened(backend, tmp_path, overflow="summarise", max_new_tokens=20) as project:
        log = project.conversations.new()
        for number in range(5):
            await turn(project, log, f"Question {number}?")
        assert all(message.role != "system" for message in log.branch)
        assert backend.script.options[-1].overflow == "drop_oldest"


@pytest.mark.parametrize("overflow", ["error", "drop_oldest"])
async def test_what_is_left_out_is_the_choice_of_the_person(
    backend: type[Forgetful], tmp_path: Path, overflow: str
) -> None:
    async with opened(backend, tmp_path, overflow=overflow) as project:
        log = project.conversations.new()
        for number in range(5):
            await turn(project, log, f"Question {number}?")
        assert {options.overflow for options in backend.script.options} == {overflow}
        assert len(log.branch) == 10


async def test_what_was_said_in_another_conversation_is_attached(
    backend: type[Forgetful], tmp_path: Path
) -> None:
    async with opened(backend, tmp_path) as project:
        earlier = project.conversations.new()
        await turn(project, earlier, "Where does the quokka live?")
        log = project.conversations.new()
        hits = await project.conversations.recall("quokka", log)
        assert {hit.conversation.id for hit in hits} == {earlier.conversation.id}
        await project.conversations.ask(log, "And what does it eat?", hits)
        async for _ in project.conversations.answer(log):
            pass
        (shown,) = backend.asked[-1]
        assert "User: Where does the quokka live?\n\nAssistant: word word" in shown.content
        assert shown.content.endswith("\n\nAnd what does it eat?")
        assert [message.role for message in log.branch] == ["system", "user", "assistant"]
        assert log.conversation.title == "And what does it eat?"
        with pytest.raises(NotFoundError, match="in another conversation matches 'quokka'"):
            await project.conversations.recall("quokka", earlier)


async def test_an_excerpt_is_not_an_excerpt_of_an_excerpt(backend: type[Forgetful], tmp_path: Path) -> None:
    async with opened(backend, tmp_path) as project:
        first = project.conversations.new()
        await turn(project, first, "Where does the quokka live?")
        second = project.conversations.new()
        await project.conversations.ask(
            second, "Tell me more.", await project.conversations.recall("quokka", second)
        )
        third = project.conversations.new()
        await project.conversations.ask(
            third, "And more?", await project.conversations.recall("quokka", third)
        )
        notes = [message for message in third.branch if message.role == "system"]
        assert [note.detail.split()[1] for note in notes] == [first.conversation.id]
