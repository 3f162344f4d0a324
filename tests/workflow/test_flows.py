"""Flows from Python: the server as a resource of the project, chat through it, a batch that is given up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from phichat.backends.base import Access, Deployment, Message, Resource
from phichat.errors import NotFoundError, UnsupportedError
from phichat.events import Piece, Reply
from phichat.workflow import Project
from tests.flows.conftest import free_port
from tests.flows.upstream import KEY, Upstream, deployed
from tests.screens.scripted import OneBackend, Script, ScriptedBackend

DEPLOYMENT = Deployment(id="polly")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with deployed() as running:
        yield running


@pytest.fixture
async def project(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Project]:
    """A project whose deployments are all that one; it cannot list what is alive."""

    class Reachable(ScriptedBackend):
        script = Script()

        async def access(self, deployment: Deployment) -> Access:
            if deployment.id == "hidden":
                raise UnsupportedError("It cannot be reached.")
            return Access(base_url=upstream.url, key=KEY)

    flags = {"chat.system": "Be brief."}
    opened = Project.open(tmp_path, flags=flags, environ=os.environ, registry=OneBackend(Reachable))
    try:
        yield opened
    finally:
        await opened.flows.stop()


def ask(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


async def test_the_server_is_a_resource_that_answers_chats(project: Project, upstream: Upstream) -> None:
    with pytest.raises(NotFoundError, match="No flow server runs"):
        await anext(project.flows.chat(ask("Hm?")))
    server = await project.flows.serve(DEPLOYMENT, "plain", free_port())
    assert project.flows.server() == server
    parts = [part async for part in project.flows.chat(ask("Who are you?"))]
    assert [part.text for part in parts if isinstance(part, Piece)] == ["Who", " are", " you?"]
    assert isinstance(parts[-1], Reply) and parts[-1].text == "Who are you?"
    assert upstream.asked[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    (resource,) = await project.resources()
    assert resource == Resource(kind="flow server", name="flow", state=f"plain at {server.url}")
    await project.remove(resource, lambda event: None)
    assert project.flows.server() is None
    await project.remove(resource, lambda event: None)


async def test_closing_the_chat_stops_the_model(project: Project, upstream: Upstream) -> None:
    await project.flows.serve(DEPLOYMENT, "plain", free_port())
    parts = project.flows.chat(ask("forever"))
    await anext(parts)
    await parts.aclose()
    assert await asyncio.to_thread(upstream.gone.wait, 10)


async def test_the_latest_evaluation_is_found_again(project: Project, tmp_path: Path) -> None:
    assert project.flows.latest() is None
    (tmp_path / "rows.jsonl").write_text('{"question": "Hm?", "reference": "hm"}\n{}\n', encoding="utf-8")
    batch = await project.flows.batch("evaluate", tmp_path / "rows.jsonl", "plain")
    result = await project.flows.run(batch, DEPLOYMENT, lambda event: None)
    assert result.metrics == {"exact_match": 1, "f1": 1, "similarity": 1}
    assert [line.line for line in result.failed] == [2]
    assert project.flows.latest() == result
    assert project.flows.latest("chat") is None


async def test_a_batch_that_is_given_up_asks_no_more(
    project: Project, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "forever"}\n', encoding="utf-8")
    batch = await project.flows.batch("chat", tmp_path / "rows.jsonl", "plain")
    running = asyncio.create_task(project.flows.run(batch, DEPLOYMENT, lambda event: None))
    assert await asyncio.to_thread(upstream.begun.wait, 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await asyncio.to_thread(upstream.gone.wait, 10)
    (run,) = project.training.ledger.runs()
    assert (run.name, run.state) == ("flow-run", "cancelled")


async def test_a_batch_whose_command_was_killed_has_failed(
    project: Project, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "forever"}\n', encoding="utf-8")
    batch = await project.flows.batch("chat", tmp_path / "rows.jsonl", "plain")
    running = asyncio.create_task(project.flows.run(batch, DEPLOYMENT, lambda event: None))
    assert await asyncio.to_thread(upstream.begun.wait, 20)
    (alive,) = await project.training.refresh()
    running.cancel()
    await asyncio.wait({running})
    project.training.ledger.write(alive)  # as it was before the command could say how it ended
    (dead,) = await project.training.refresh()
    assert (alive.state, dead.state, dead.detail) == ("running", "failed", "It was ended from outside.")


async def test_what_others_cannot_reach_is_no_run(project: Project, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "Hm?"}\n', encoding="utf-8")
    batch = await project.flows.batch("chat", tmp_path / "rows.jsonl", "plain")
    with pytest.raises(UnsupportedError):
        await project.flows.run(batch, Deployment(id="hidden"), lambda event: None)
    with pytest.raises(UnsupportedError):
        await project.flows.serve(Deployment(id="hidden"), "plain", free_port())
    assert project.training.ledger.runs() == []
    assert project.flows.server() is None
