"""The headless API over a backend that does what a test tells it to, right and wrong."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar

import pytest

from phichat.backends.base import (
    ChatOptions,
    Check,
    Dataset,
    Deployment,
    DeploymentState,
    DeploySpec,
    Estimate,
    EvalSpec,
    Job,
    Message,
    Report,
    TrainSpec,
    Usage,
)
from phichat.errors import (
    BackendError,
    ConfigError,
    NotFoundError,
    PhichatError,
    PluginError,
    UnsupportedError,
)
from phichat.events import Event, Metric, Piece, Reply, Status
from phichat.workflow import Project, rollout
from phichat.workflow import project as project_module
from tests.screens.scripted import OneBackend, Script, ScriptedBackend

QUESTION = [Message(role="user", content="Who are you?")]


class Memory(ScriptedBackend):
    """A scripted backend whose deployments exist, and whose jobs have events."""

    specs: ClassVar[dict[str, DeploySpec]]
    free: ClassVar[bool] = True
    events: ClassVar[list[Event]] = []
    submitted: ClassVar[list[TrainSpec | EvalSpec]]

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        self.script.deploys += 1
        self.specs[spec.name] = spec
        return Deployment(id=spec.name)

    async def deployments(self) -> list[DeploymentState]:
        return [DeploymentState(deployment=Deployment(id=name), healthy=True) for name in self.specs]

    async def delete(self, deployment: Deployment) -> None:
        self.specs.pop(deployment.id, None)

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        return Estimate(usd=(0, 0)) if self.free else Estimate(usd=(0, 0), usd_per_hour=0.25)

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        self.submitted.append(spec)
        return Job(id=spec.name)

    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        for event in self.events:
            yield event


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def memory(script: Script) -> type[Memory]:
    return type("OneMemory", (Memory,), {"script": script, "specs": {}, "submitted": []})


def opened(backend: type[ScriptedBackend], folder: Path, flags: dict[str, object] | None = None) -> Project:
    return Project.open(folder, flags=flags, environ=os.environ, registry=OneBackend(backend))


async def test_the_default_deployment_is_the_base_model(
    memory: type[Memory], script: Script, tmp_path: Path
) -> None:
    project = opened(memory, tmp_path)
    deployment = await project.ready(lambda event: None)
    assert memory.specs[deployment.id].model == project.base_model == "smollm2"
    assert await project.ready(lambda event: None) == deployment
    assert script.deploys == 1


async def test_nothing_that_costs_money_is_deployed_unasked(memory: type[Memory], tmp_path: Path) -> None:
    memory.free = False
    with pytest.raises(NotFoundError) as error:
        await opened(memory, tmp_path).ready(lambda event: None)
    assert error.value.hint == "phichat deploy"
    assert memory.specs == {}


async def test_what_was_deployed_last_is_current_in_a_new_process(
    memory: type[Memory], tmp_path: Path
) -> None:
    made = await opened(memory, tmp_path).deploy(None, lambda event: None, name="mine")
    assert await opened(memory, tmp_path).ready(lambda event: None) == made
    other = await opened(memory, tmp_path, {"base_model": "phi-4-mini"}).ready(lambda event: None)
    assert other != made, "another base model was asked for"


async def test_a_deleted_deployment_is_not_current(memory: type[Memory], tmp_path: Path) -> None:
    project = opened(memory, tmp_path)
    await project.deploy(None, lambda event: None, name="mine")
    await project.backend.delete(Deployment(id="mine"))
    assert (await project.ready(lambda event: None)).id != "mine"


async def test_an_unknown_model_never_reaches_the_backend(
    memory: type[Memory], script: Script, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="smollm3"):
        await opened(memory, tmp_path).deploy("smollm3", lambda event: None)
    assert script.deploys == 0


async def test_chat_gives_pieces_and_a_reply(memory: type[Memory], script: Script, tmp_path: Path) -> None:
    script.say("I am", " a model.")
    parts = [part async for part in opened(memory, tmp_path).chat(QUESTION)]
    assert [part.text for part in parts if isinstance(part, Piece)] == ["I am", " a model."]
    reply = parts[-1]
    assert isinstance(reply, Reply)
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("I am a model.", 12, 2)
    assert reply.finish_reason == "stop" and reply.ttft_s >= 0


async def test_the_configured_system_prompt_and_options_are_used(
    memory: type[Memory], script: Script, tmp_path: Path
) -> None:
    flags = {"chat.system": "Be brief.", "chat.temperature": 0.0, "chat.seed": 4}
    project = opened(memory, tmp_path, flags)
    own = [Message(role="system", content="Be long."), *QUESTION]
    for messages in (QUESTION, own):
        script.say("ok")
        assert [part async for part in project.chat(messages)]
    assert [asked[0].content for asked in script.asked] == ["Be brief.", "Be long."]
    assert script.options[0] == ChatOptions(temperature=0, seed=4)


async def test_closing_a_chat_stops_the_model(memory: type[Memory], script: Script, tmp_path: Path) -> None:
    script.answers.put_nowait("on and")
    answer = opened(memory, tmp_path).chat(QUESTION)
    await anext(answer)
    await answer.aclose()
    assert script.closed_answers == 1


async def test_a_stray_exception_is_told_as_the_plugins_fault(
    memory: type[Memory], script: Script, tmp_path: Path
) -> None:
    script.answers.put_nowait(ZeroDivisionError("division by zero"))
    with pytest.raises(PluginError, match="ZeroDivisionError: division by zero"):
        async for _ in opened(memory, tmp_path).chat(QUESTION):
            pass


async def test_a_full_disk_is_not_the_plugins_fault(
    memory: type[Memory], script: Script, tmp_path: Path
) -> None:
    script.answers.put_nowait(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(PhichatError, match="The disk is full"):
        async for _ in opened(memory, tmp_path).chat(QUESTION):
            pass


async def test_an_error_of_the_backend_comes_through_as_it_is(
    memory: type[Memory], script: Script, tmp_path: Path
) -> None:
    script.answers.put_nowait(BackendError("The GPU is gone.", "phichat check"))
    with pytest.raises(BackendError) as error:
        async for _ in opened(memory, tmp_path).chat(QUESTION):
            pass
    assert (error.value.message, error.value.hint) == ("The GPU is gone.", "phichat check")


@pytest.mark.parametrize("trouble", [RuntimeError("no"), BackendError("no"), SystemExit(3)])
async def test_a_check_that_raises_is_a_failed_check(
    memory: type[Memory], tmp_path: Path, trouble: BaseException
) -> None:
    class Raises(memory):  # type: ignore[misc,valid-type]  # a class made for this test
        async def check(self) -> list[Check]:
            raise trouble

    checks = await opened(Raises, tmp_path).check()
    assert [check.ok for check in checks] == [False]
    assert checks[0].fix


async def test_a_check_that_hangs_is_a_failed_check(
    memory: type[Memory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hangs(memory):  # type: ignore[misc,valid-type]  # a class made for this test
        async def check(self) -> list[Check]:
            time.sleep(3600)  # noqa: ASYNC251  # a plugin that blocks is what is tested
            return []

    monkeypatch.setattr(project_module, "CHECK_SECONDS", 0.05)
    checks = await opened(Hangs, tmp_path).check()
    assert [(check.ok, "did not answer" in check.detail) for check in checks] == [(False, True)]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(train_file=tmp_path / "train.jsonl", fingerprint="abc")


EVENTS: list[Event] = [
    Status(state="running", seq=0),
    Metric(step=1, values={"loss": 2.0}, seq=1),
    Status(state="succeeded", seq=2),
]


async def test_the_same_training_is_one_run_and_again_is_another(
    memory: type[Memory], tmp_path: Path, dataset: Dataset
) -> None:
    flags: dict[str, object] = {"train.epochs": 2.0}
    project = opened(memory, tmp_path, flags)
    run = await project.train(dataset, lambda event: None)
    assert run.job == Job(id=run.name) and run.state == "running"
    assert isinstance(run.spec, TrainSpec) and run.spec.hyperparameters["epochs"] == 2.0
    assert (await opened(memory, tmp_path, flags).train(dataset, lambda event: None)).name == run.name
    again = await project.train(dataset, lambda event: None, again=True)
    assert again.name == f"{run.name}-2"


async def test_a_run_is_in_the_ledger_before_the_backend_has_it(
    memory: type[Memory], tmp_path: Path, dataset: Dataset
) -> None:
    class Fails(memory):  # type: ignore[misc,valid-type]  # a class made for this test
        async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
            raise BackendError("The connection broke after the server acted.")

    project = opened(Fails, tmp_path)
    with pytest.raises(BackendError):
        await project.train(dataset, lambda event: None)
    (run,) = project.training.ledger.runs()
    assert run.job is None
    adopted = await opened(memory, tmp_path).train(dataset, lambda event: None)
    assert (adopted.name, adopted.job) == (run.name, Job(id=run.name))


async def test_watching_keeps_the_events_and_replays_them_without_the_backend(
    memory: type[Memory], tmp_path: Path, dataset: Dataset
) -> None:
    memory.events = EVENTS
    project = opened(memory, tmp_path)
    run = await project.train(dataset, lambda event: None)
    assert [event async for event in project.watch(run.name)] == EVENTS
    assert project.training.ledger.run(run.name).state == "succeeded"
    memory.events = []
    again = [event async for event in opened(memory, tmp_path).watch(run.name)]
    assert [event.kind for event in again] == ["status", "metric", "status"]
    assert isinstance(again[-1], Status) and again[-1].state == "succeeded"


async def test_a_run_that_succeeded_is_reported_as_done(
    memory: type[Memory], tmp_path: Path, dataset: Dataset
) -> None:
    memory.events = EVENTS
    project = opened(memory, tmp_path)
    run = await project.train(dataset, lambda event: None)
    async for _ in project.watch(run.name):
        pass
    assert (await project.train(dataset, lambda event: None)).state == "succeeded"


async def test_usage_is_optional(memory: type[Memory], script: Script, tmp_path: Path) -> None:
    script.answers.put_nowait("hm")
    script.answers.put_nowait(Usage(prompt_tokens=1, completion_tokens=1, finish_reason="stop"))
    parts = [part async for part in opened(memory, tmp_path).chat(QUESTION)]
    assert isinstance(parts[-1], Reply) and parts[-1].tokens_per_s == 0


async def test_only_a_deployment_with_an_endpoint_can_take_over_its_requests(
    memory: type[Memory], tmp_path: Path
) -> None:
    project = opened(memory, tmp_path)
    await project.deploy(None, lambda event: None, name="looks/shared")
    assert "looks/shared" in [state.deployment.id for state in await project.deployments()]
    with pytest.raises(UnsupportedError, match="shares no requests among deployments"):
        await rollout.shift(project, {"looks/shared": 100}, lambda event: None)
