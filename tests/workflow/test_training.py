"""The runs of a project over a backend whose jobs do what a test says."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar

import pytest

from phichat.backends.base import Dataset, Estimate, EvalSpec, Job, Report, TrainSpec
from phichat.errors import AuthError, ConfigError, DataError, NotFoundError, QuotaError, UnavailableError
from phichat.events import Event, Metric, Status
from phichat.runs import FlowSpec, Run
from phichat.testing.harness import ignore
from phichat.workflow import Project
from phichat.workflow import training as training_module
from phichat.workflow.purse import Purse
from phichat.workflow.training import Training, took
from tests.screens.scripted import OneBackend, Script, ScriptedBackend

RUNNING: list[Event] = [Status(state="running"), Metric(step=1, values={"loss": 2.0})]
DONE = Status(state="succeeded", detail="It is done.")


class Jobs(ScriptedBackend):
    """Jobs whose stories a test writes; one without an end goes on for ever."""

    script: ClassVar[Script] = Script()
    stories: ClassVar[dict[str, list[Event]]]
    submitted: ClassVar[list[TrainSpec | EvalSpec]]
    cancelled: ClassVar[list[str]]
    away: ClassVar[bool] = False

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        self.submitted.append(spec)
        return Job(id=spec.name)

    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        if self.away:
            raise UnavailableError("Nobody answers.")
        last: Event | None = None
        for seq, last in enumerate(self.stories.get(job.id, [])):
            yield last.model_copy(update={"seq": seq})
        if not (isinstance(last, Status) and last.finished):
            await asyncio.Event().wait()

    async def cancel(self, job: Job) -> None:
        self.cancelled.append(job.id)


@pytest.fixture
def jobs() -> type[Jobs]:
    return type("OneJobs", (Jobs,), {"stories": {}, "submitted": [], "cancelled": []})


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    held_out = tmp_path / "eval.jsonl"
    return Dataset(train_file=tmp_path / "train.jsonl", eval_file=held_out, fingerprint="abc")


def opened(jobs: type[Jobs], folder: Path, **flags: object) -> Training:
    chosen = {f"train.{name}": value for name, value in flags.items()}
    return Project.open(folder, flags=chosen, environ=os.environ, registry=OneBackend(jobs)).training


async def trained(training: Training, dataset: Dataset, name: str = "mine") -> Run:
    return await training.start(training.spec(dataset, name=name), ignore)


async def test_a_state_is_kept_while_it_is_watched(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset
) -> None:
    jobs.stories["mine"] = [Status(state="queued", detail="Third in line."), *RUNNING, DONE]
    training = opened(jobs, tmp_path)
    await trained(training, dataset)
    states = []
    async for _ in training.watch("mine"):
        run = opened(jobs, tmp_path).ledger.run("mine")
        states.append((run.state, run.detail))
    assert states == [
        ("queued", "Third in line."),
        ("running", ""),
        ("running", ""),
        ("succeeded", DONE.detail),
    ]


async def test_another_look_at_a_run_writes_nothing_and_never_goes_back(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "QUIET_S", 0.1)
    jobs.stories["mine"] = [Status(state="queued"), *RUNNING]
    training = opened(jobs, tmp_path)
    await trained(training, dataset)
    await training.refresh()
    folder = training.ledger.directory / "mine"
    kept = {file.name: file.stat() for file in folder.iterdir()}
    again = opened(jobs, tmp_path)
    seen = again.watch("mine")
    states = [(await anext(seen), again.ledger.run("mine").state)[1] for _ in range(3)]
    await seen.aclose()
    assert states == ["running"] * 3
    now = {file.name: file.stat() for file in folder.iterdir()}
    for name in ("run.json", "events.jsonl"):
        assert (now[name].st_ino, now[name].st_mtime_ns) == (kept[name].st_ino, kept[name].st_mtime_ns)


async def test_no_two_jobs_are_given_the_same_money(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Purse, "budget", 10.0)
    monkeypatch.setattr(training_module, "QUIET_S", 0.01)
    jobs.stories |= {name: [Status(state="queued")] for name in ("first", "third")}
    monkeypatch.setattr(jobs.script, "training", Estimate(usd=(2, 4), usd_rate=1.0, source="a list"))
    training = opened(jobs, tmp_path)

    async def granted(name: str, max_usd: float | None = None) -> float | None:
        spec = training.spec(dataset, name=name).model_copy(update={"max_usd": max_usd})
        run = await training.start(spec, ignore)
        assert not isinstance(run.spec, FlowSpec)
        return run.spec.max_usd

    assert await granted("first", 5) == 5
    assert await granted("second") == 5
    with monkeypatch.context() as impatient:
        impatient.setattr(training_module, "FIRST_WORD_S", 0.01)
        with pytest.raises(QuotaError, match=r"US\$0\.00 of the budget .* US\$10\.00 is set aside"):
            await granted("third")
    assert await granted("first") == 5, "it is under way, and its limit is not asked about again"
    assert training.purse.spending().left == 0
    # It ends when nobody looks, and has cost nothing.
    jobs.stories["second"] = [DONE]
    assert await granted("third") == 5
    jobs.stories["first"].append(DONE)
    assert [event async for event in training.watch("first")]
    exam = await training.start(training.eval_spec(training.ledger.run("first")), ignore)
    assert isinstance(exam.spec, EvalSpec) and exam.spec.max_usd == 5, "what the third leaves"
    sent = [(each.name, each.max_usd) for each in jobs.submitted]
    assert sent == [("first", 5), ("second", 5), ("first", 5), ("third", 5), ("first-eval", 5)]


async def test_who_asks_for_a_price_is_not_refused_for_a_job_that_has_ended(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Purse, "budget", 10.0)
    monkeypatch.setattr(jobs.script, "training", Estimate(usd=(2, 4), usd_rate=1.0, source="a list"))
    project = Project.open(tmp_path, environ=os.environ, registry=OneBackend(jobs))
    await trained(project.training, dataset, "first")
    assert project.training.purse.spending().left == 0
    jobs.stories["first"] = [DONE]
    spec = project.training.spec(dataset, name="second")
    assert project.affordable(await project.estimate(spec), spec) == 10


async def test_what_ended_unwatched_is_found_out(jobs: type[Jobs], tmp_path: Path, dataset: Dataset) -> None:
    jobs.stories |= {"done": [*RUNNING, DONE], "on": RUNNING}
    training = opened(jobs, tmp_path)
    for name in ("done", "on"):
        await trained(training, dataset, name)
    states = {run.name: run.state for run in await opened(jobs, tmp_path).refresh()}
    assert states == {"done": "succeeded", "on": "running"}
    newest = await training.newest_success()
    assert newest is not None and newest.name == "done"
    assert await training.newest_success("phi-4") is None, "that one is of another base model"


async def test_a_backend_out_of_reach_hides_nothing(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset
) -> None:
    training = opened(jobs, tmp_path)
    await trained(training, dataset)
    jobs.away = True
    assert [run.name for run in await training.refresh()] == ["mine"]


async def test_a_look_does_not_wait_for_the_silent(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "FIRST_WORD_S", 0.1)
    training = opened(jobs, tmp_path)
    for name in ("one", "two", "three"):
        await trained(training, dataset, name)
    begun = time.monotonic()
    await training.refresh()
    assert time.monotonic() - begun < 5, "they are all asked at once"


async def test_a_run_that_goes_on_is_running_again(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset
) -> None:
    jobs.stories["mine"] = [*RUNNING, Status(state="failed", detail="Memory ran out.")]
    training = opened(jobs, tmp_path)
    await trained(training, dataset)
    async for _ in training.watch("mine"):
        pass
    failed = training.ledger.run("mine")
    assert (failed.state, failed.detail, failed.ended is None) == ("failed", "Memory ran out.", False)
    again = await trained(training, dataset)
    assert (again.state, again.detail, again.ended) == ("running", "", None)
    assert len(jobs.submitted) == 2


async def test_what_changes_nothing_in_what_is_learned_may_change(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset
) -> None:
    await trained(opened(jobs, tmp_path, epochs=3), dataset)
    await trained(opened(jobs, tmp_path, epochs=3, log_steps=5, evaluate=False), dataset)
    with pytest.raises(ConfigError, match="with another epochs, lora_r"):
        await trained(opened(jobs, tmp_path, epochs=4, lora_r=2), dataset)
    with pytest.raises(ConfigError, match="with another dataset"):
        other = dataset.model_copy(update={"fingerprint": "other"})
        await trained(opened(jobs, tmp_path, epochs=3), other)
    assert len(jobs.submitted) == 2


async def test_a_training_is_no_evaluation(jobs: type[Jobs], tmp_path: Path, dataset: Dataset) -> None:
    training = opened(jobs, tmp_path)
    run = await trained(training, dataset)
    await training.start(training.eval_spec(run), ignore)
    with pytest.raises(ConfigError, match="with another purpose"):
        await trained(training, dataset, "mine-eval")


async def test_what_needs_something_that_is_not_there_does_not_wait_for_ever(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = opened(jobs, tmp_path)
    run = await trained(training, dataset)
    errors: list[Exception] = [UnavailableError("Nobody answers."), NotFoundError("No model was made.")]

    async def refuse(_self: Jobs, _spec: EvalSpec, _report: Report) -> Job:
        raise errors.pop(0)

    monkeypatch.setattr(jobs, "submit", refuse)
    with pytest.raises(UnavailableError):
        await training.start(training.eval_spec(run), ignore)
    assert training.run("mine-eval").state == "queued", "it may have arrived all the same"
    with pytest.raises(NotFoundError):
        await training.start(training.eval_spec(run), ignore)
    assert (training.run("mine-eval").state, training.run("mine-eval").detail) == (
        "failed",
        "No model was made.",
    )


async def test_an_evaluation_asks_what_the_training_asked(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset
) -> None:
    training = opened(jobs, tmp_path, seed=4, max_length=99)
    spec = training.eval_spec(await trained(training, dataset))
    assert (spec.name, spec.model) == ("mine-eval", Job(id="mine"))
    assert spec.settings == {"seed": 4, "max_length": 99, "stop_tokens": ["<|im_end|>", "<|endoftext|>"]}
    bare = dataset.model_copy(update={"eval_file": None, "fingerprint": "bare"})
    with pytest.raises(DataError, match="no held-out rows"):
        training.eval_spec(await trained(training, bare, "bare"))


async def test_a_run_that_never_reached_the_backend_says_so(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset
) -> None:
    training = opened(jobs, tmp_path)
    training.ledger.write(Run(name="lost", backend="local", spec=training.spec(dataset, name="lost")))
    with pytest.raises(NotFoundError, match="never reached the backend"):
        async for _ in training.watch("lost"):
            pass


async def test_what_the_backend_never_confirmed_can_be_ended(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = opened(jobs, tmp_path)
    lost = training.ledger.write(Run(name="lost", backend="local", spec=training.spec(dataset, name="lost")))
    assert took(lost) is None, "nothing runs"
    await training.cancel("lost")
    assert (jobs.cancelled, training.run("lost").state) == (["lost"], "cancelled"), "it may have arrived"

    async def unknown(_self: Jobs, _job: Job) -> None:
        raise NotFoundError("There is no such job.")

    monkeypatch.setattr(jobs, "cancel", unknown)
    training.ledger.write(lost)
    await training.cancel("lost")
    assert training.run("lost").state == "cancelled"


async def test_what_was_refused_leaves_nothing_behind(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = opened(jobs, tmp_path)

    async def refuse(_self: Jobs, _spec: TrainSpec, _report: Report) -> Job:
        raise AuthError("You are not signed in.")

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "submit", refuse)
        with pytest.raises(AuthError):
            await trained(training, dataset)
    assert training.ledger.runs() == []
    assert (await trained(training, dataset)).state == "running"


async def test_a_run_that_goes_on_is_the_one_that_is_meant(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "FIRST_WORD_S", 0.1)
    jobs.stories |= {"mine": [Status(state="cancelled", at=time.time() + 60)], "other": [DONE]}
    training = opened(jobs, tmp_path)
    for name in ("mine", "other"):
        await trained(training, dataset, name)
        async for _ in training.watch(name):
            pass
    assert (await training.meant()).name == "other", "nothing is under way"
    idle = training.ledger.run("mine")
    training.ledger.write(idle.model_copy(update={"created": idle.created - 1000, "ended": idle.created}))
    jobs.stories["mine"] = []
    again = await trained(training, dataset)
    assert (await training.meant()).name == "mine"
    assert [run.name for run in training.ledger.runs()] == ["mine", "other"]
    assert again.worked == pytest.approx(1000) and again.begun is not None
    ended = again.model_copy(update={"state": "succeeded", "ended": again.begun + 120})
    assert took(ended) == pytest.approx(1120)


async def test_a_finished_run_is_not_cancelled(jobs: type[Jobs], tmp_path: Path, dataset: Dataset) -> None:
    jobs.stories["mine"] = [DONE]
    training = opened(jobs, tmp_path)
    await trained(training, dataset)
    await training.cancel("mine")
    async for _ in training.watch("mine"):
        pass
    await training.cancel("mine")
    assert jobs.cancelled == ["mine"]


async def test_how_long_it_took(jobs: type[Jobs], tmp_path: Path, dataset: Dataset) -> None:
    run = await trained(opened(jobs, tmp_path), dataset)
    assert 0 <= (took(run) or 0) < 60
    assert took(run.model_copy(update={"created": 100.0, "ended": 160.0, "state": "failed"})) == 60
    assert took(run.model_copy(update={"state": "failed"})) is None


def test_a_model_in_a_folder_is_called_as_the_folder(
    jobs: type[Jobs], tmp_path: Path, dataset: Dataset, tiny_phi3: Path
) -> None:
    project = Project.open(
        tmp_path, flags={"base_model": str(tiny_phi3)}, environ=os.environ, registry=OneBackend(jobs)
    )
    assert project.training.spec(dataset).name.startswith("tiny-phi3-")
