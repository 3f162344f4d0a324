"""The project in the background: opened once, its model offered, made ready, or why not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path

import pytest

from phichat.backends.base import Dataset, TrainSpec
from phichat.errors import ConfigError, PluginError, UnavailableError
from phichat.events import Event, Metric, Progress, Status, Step
from phichat.screens import session as session_module
from phichat.screens.readiness import Readiness
from phichat.screens.session import Session, problem_of, short_name
from phichat.workflow import Project
from tests.screens.scripted import DOWNLOAD, Script, opener


@pytest.fixture
def session(script: Script, folder: Path, cache: Path) -> Session:
    return Session(opener(script, folder))


def heard(session: Session) -> list[Readiness]:
    """What its listeners see, from now on."""
    changes: list[Readiness] = []

    def hear() -> None:
        if not changes or session.readiness is not changes[-1]:
            changes.append(session.readiness)

    session.listen(hear)
    return changes


async def until(condition: Callable[[], bool]) -> None:
    """Let the session work until something is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def test_the_project_is_opened_outside_the_event_loop(
    script: Script, folder: Path, weights: None
) -> None:
    threads: list[threading.Thread] = []
    open_project = opener(script, folder)

    def observed() -> Project:
        threads.append(threading.current_thread())
        return open_project()

    script.loaded.set()
    session = Session(observed)
    await session.start()
    await session.start()
    assert [thread is threading.main_thread() for thread in threads] == [False]
    assert (session.backend, session.model) == ("local", "smollm2")


async def test_weights_that_are_there_are_loaded_without_a_question(
    session: Session, script: Script, weights: None
) -> None:
    phases = heard(session)
    script.loaded.set()
    await session.start()
    assert [each.phase for each in phases] == ["opening", "preparing", "ready"]
    assert (await session.deployment()).id == "smollm2"


async def test_missing_weights_are_offered_with_their_size_and_nothing_is_fetched(
    session: Session, script: Script
) -> None:
    await session.start()
    assert session.readiness.phase == "offered"
    assert session.readiness.size is not None
    assert 90e6 < session.readiness.size < 110e6
    assert script.deploys == 0


async def test_a_download_can_be_cancelled_and_tried_again(session: Session, script: Script) -> None:
    await session.start()
    size = session.readiness.size
    download = asyncio.create_task(session.start(download=True))
    await script.deploying.wait()
    script.progress(34e6)
    assert session.readiness == Readiness(
        "preparing", "Downloading SmolLM2", "34 of 98 MB", 34e6, DOWNLOAD, size
    )
    download.cancel()
    with pytest.raises(asyncio.CancelledError):
        await download
    assert session.readiness == Readiness("declined", size=size)
    assert script.cancelled_deploys == 1
    script.loaded.set()
    await session.start(download=True)
    assert session.readiness.phase == "ready"


async def test_who_waits_for_the_deployment_gets_it_when_it_is_there(
    session: Session, script: Script, weights: None
) -> None:
    waiting = asyncio.create_task(session.deployment())
    script.deploy_error = UnavailableError("Not now.")
    script.loaded.set()
    await session.start()
    assert session.readiness.problem is script.deploy_error
    assert not waiting.done()
    script.deploy_error = None
    await session.start()
    assert (await waiting).id == "smollm2"


async def test_a_config_that_cannot_be_read_is_read_again(
    script: Script, folder: Path, weights: None
) -> None:
    (folder / "phichat.toml").write_text("backnd = 'local'\n", encoding="utf-8")
    session = Session(opener(script, folder))
    script.loaded.set()
    await session.start()
    assert isinstance(session.readiness.problem, ConfigError)
    assert "backend" in session.readiness.problem.hint
    (folder / "phichat.toml").write_text("backend = 'local'\n", encoding="utf-8")
    await session.start()
    assert session.readiness.phase == "ready"


async def test_events_are_told_in_words(session: Session, script: Script, weights: None) -> None:
    start = asyncio.create_task(session.start())
    await script.deploying.wait()
    said = []
    for event in (
        Step(name="server", state="running"),
        Progress(what="reading weights", done=3, total=12, unit="tensors"),
        Status(state="preparing", detail="warming up"),
        Step(name="server", state="done"),
    ):
        script.report(event)
        said.append((session.readiness.brief, session.readiness.total))
    assert said == [
        ("preparing the server", None),
        ("reading 3 of 12 tensors", 12),
        ("warming up", None),
        ("warming up", None),
    ]
    start.cancel()


async def test_listeners_are_not_told_of_every_chunk(session: Session, script: Script) -> None:
    await session.start()
    start = asyncio.create_task(session.start(download=True))
    await script.deploying.wait()
    changes = heard(session)
    for done in range(1000):
        script.progress(done)
    assert len(changes) < 10
    assert session.readiness.done == 999
    start.cancel()


def test_a_stray_exception_is_somebodys_bug() -> None:
    problem = problem_of(KeyError("usage"), "cloudy")
    assert isinstance(problem, PluginError)
    assert "'cloudy'" in problem.message
    assert "KeyError" in problem.message
    known = ConfigError("No.")
    assert problem_of(known, "cloudy") is known


@pytest.mark.parametrize(
    ("base_model", "name"),
    [
        ("smollm2", "smollm2"),
        ("microsoft/Phi-3.5-mini-instruct@2fe192450127e6a83f7441aef6e3ca586c338b77", "Phi-3.5-mini-instruct"),
        ("/models/my-phi/", "my-phi"),
        ("C:\\models\\my-phi", "my-phi"),
    ],
)
def test_a_models_name_fits_a_line(base_model: str, name: str) -> None:
    assert short_name(base_model) == name


async def test_a_report_that_comes_late_does_not_undo_what_is_ready(
    session: Session, script: Script, weights: None
) -> None:
    script.loaded.set()
    await session.start()
    script.progress(34e6)
    assert session.readiness.phase == "ready"


async def test_what_a_training_does_is_said_once_it_is_more_than_training(
    session: Session, script: Script, weights: None
) -> None:
    script.loaded.set()
    await session.start()
    assert session.project
    spec = TrainSpec(name="keeper", dataset=Dataset(train_file=Path("train.jsonl")), base_model="smollm2")
    await session.project.training.start(spec, lambda event: None)
    session.look_soon()

    def says(told: str) -> bool:
        return [str(each) for each in session.activities.values()] == [told]

    for event, told in (
        (Metric(step=3, total=4, values={"loss": 2.0}), "training keeper 75%"),
        (Metric(step=4, total=4, values={"loss": 2.0}), "training keeper: finishing"),
        (Progress(what="examine base", done=1, total=4), "training keeper: examine base 25%"),
    ):
        script.tell("keeper", event)
        await until(partial(says, told))
    script.tell("keeper", Status(state="succeeded"))
    await until(lambda: not session.activities)


async def train(session: Session, script: Script) -> None:
    """A run has begun, and nobody has looked at it yet."""
    script.loaded.set()
    await session.start()
    await until(lambda: not session.looking)
    assert session.project
    dataset = Dataset(train_file=Path("train.jsonl"))
    spec = TrainSpec(name="keeper", dataset=dataset, base_model="smollm2")
    await session.project.training.start(spec, lambda event: None)


async def test_a_run_out_of_reach_is_told_once_and_looked_for_again(
    session: Session, script: Script, weights: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched: list[asyncio.Event] = [asyncio.Event(), asyncio.Event(), asyncio.Event()]
    reasons = iter(("Sign in.", "Sign in.", ""))

    async def story(job: str) -> AsyncGenerator[Event, None]:
        watched.pop(0).set()
        if reason := next(reasons):
            raise UnavailableError(reason)
        yield Status(state="succeeded", seq=0)

    monkeypatch.setattr(script, "story", story)
    await train(session, script)
    first, second, third = watched
    session.look_soon()
    await first.wait()
    await until(lambda: "keeper" in session._out_of_reach and not session.looking)
    # Nobody has changed anything: it rests. The next look, as after a sign-in, wakes it.
    for _ in range(50):
        await asyncio.sleep(0)
    assert not second.is_set()
    assert not session.activities
    session.look_soon()
    await asyncio.wait_for(second.wait(), 30)
    await until(lambda: "keeper" in session._out_of_reach)
    assert [news.text for news in session.news] == ["Sign in."]
    session.look_soon()
    await asyncio.wait_for(third.wait(), 30)
    await until(lambda: not session._followed)
    assert session.news[-1].text == "Training keeper: succeeded."
    await session.aclose()


async def test_a_run_out_of_reach_comes_back_by_itself(
    session: Session, script: Script, weights: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = iter(("Too busy.", "Too busy.", "Broken.", ""))

    async def story(job: str) -> AsyncGenerator[Event, None]:
        if reason := next(reasons):
            raise UnavailableError(reason)
        yield Status(state="failed", seq=0)

    monkeypatch.setattr(session_module, "REACH_AGAIN_S", 0.001)
    monkeypatch.setattr(script, "story", story)
    await train(session, script)
    session.look_soon()
    await until(lambda: bool(session._followed))
    await asyncio.wait_for(session._followed["keeper"], 30)
    assert [news.text for news in session.news] == ["Too busy.", "Broken.", "Training keeper: failed."]
    await session.aclose()
