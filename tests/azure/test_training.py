"""A training on Azure as a person sees it: planned, submitted, watched, evaluated and brought home."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.azureml.telling import TAKEN
from phichat.backends.base import EvalSpec, Job, TrainSpec
from phichat.events import Artifact, Event, Log, Metric, Progress, Status, Step, parse
from tests.azure.places import lab_of
from tests.azure.standin import forker
from tests.azure.standin.cloud import SECRET, Cloud
from tests.azure.standin.faults import Fault, drop_before, instead
from tests.azure.standin.wire import error
from tests.azure.training import data_in, ignore, spec_of, told, watched
from tests.conftest import ROOT

HOSTS = {
    "login.microsoftonline.com",
    "management.azure.com",
    "eastus2.api.azureml.ms",
    "phichatstorage.blob.core.windows.net",
}


@dataclass
class Story:
    """One training from the plan to its end, and what was asked of Azure meanwhile."""

    folder: Path
    spec: TrainSpec
    job: Job = field(default_factory=lambda: Job(id=""))
    planned: list[Step] = field(default_factory=list)
    asked_for_the_plan: set[str] = field(default_factory=set)
    made: list[str] = field(default_factory=list)
    reported: list[Event] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def backend(self) -> AzureMLBackend:
        """A new instance, as a new process would open it."""
        return lab_of(self.folder)


@pytest.fixture(scope="module")
def story(azure: Cloud, tiny_phi3: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The training, really done once for all tests."""
    folder = tmp_path_factory.mktemp("project")
    found = Story(folder, spec_of(folder, base=str(tiny_phi3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHICHAT_HOME", str(folder / "home"))
        patch.setattr("phichat.backends.azureml.arm.pause", _soon)
        azure.workspaces.make("phichat", "phichat")
        asyncio.run(_train(found, azure))
    return found


async def _soon(seconds: float) -> None:
    await asyncio.sleep(0)


async def _train(story: Story, cloud: Cloud) -> None:
    backend = story.backend()
    story.planned = await backend.plan(story.spec)
    story.hosts = {request.host for request in cloud.requests}
    story.asked_for_the_plan = {
        request.method for request in cloud.requests if request.host != "login.microsoftonline.com"
    }
    cloud.forget()
    story.job = await backend.submit(story.spec, story.reported.append)
    story.made = cloud.made()
    story.events = await watched(backend, story.job)
    story.hosts |= {request.host for request in cloud.requests}
    await backend.aclose()


@pytest.fixture
async def backend(story: Story, cloud: Cloud) -> AsyncIterator[AzureMLBackend]:
    opened = story.backend()
    yield opened
    await opened.aclose()


def test_a_plan_only_looks(story: Story) -> None:
    assert story.asked_for_the_plan == {"GET"}
    assert {step.state for step in story.planned} == {"planned"}
    names = ["environment", "cluster", "code", "data", "base model", "job"]
    assert [step.name for step in story.planned] == names


def test_submit_takes_the_steps_of_the_plan(story: Story) -> None:
    done = [(e.name, e.detail) for e in story.reported if isinstance(e, Step) and e.state == "done"]
    assert done == [(step.name, step.detail) for step in story.planned]
    assert {e.what for e in story.reported if isinstance(e, Progress)} == {"code", "data", "base model"}


async def test_afterwards_everything_is_there(story: Story, backend: AzureMLBackend, cloud: Cloud) -> None:
    assert {step.state for step in await backend.plan(story.spec)} == {"reused"}
    again = await backend.submit(story.spec, ignore)
    assert again == story.job and not cloud.made()


def test_a_run_tells_what_a_local_one_tells(story: Story, tmp_path: Path) -> None:
    config = {**story.spec.hyperparameters, "base_model": story.spec.base_model, "data_fingerprint": "x"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    data = story.spec.dataset
    command = ["python", str(ROOT / "trainer" / "train.py"), "--train-file", str(data.train_file)]
    command += ["--eval-file", str(data.eval_file), "--config", "config.json", "--output-dir", "out"]
    environment = {
        **os.environ,
        "PATH": f"{forker.shim()}:{os.environ['PATH']}",
        "PHICHAT_NODE_PIDS": str(tmp_path / "pids"),
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    local = [parse(line) for line in done.stdout.splitlines()]
    assert _gist(story.events[2:]) == _gist(local)
    assert [e.state for e in story.events[:2] if isinstance(e, Status)] == ["queued", "preparing"]
    assert [event.seq for event in story.events] == list(range(len(story.events)))


def _gist(events: list[Event]) -> list[tuple[Any, ...]]:
    """What was told, but for where and how fast."""
    found: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, Metric):
            same = ("loss", "eval_loss", "learning_rate", "grad_norm", "eval_token_accuracy")
            found.append(("metric", event.step, {k: v for k, v in event.values.items() if k in same}))
        elif isinstance(event, Step):
            detail = "" if event.name == "base model" else event.detail
            found.append(("step", event.name, event.state, detail))
        elif isinstance(event, Artifact):
            found.append(("artifact", event.name))
        elif isinstance(event, Status):
            found.append(("status", event.state, event.detail.rpartition("Eval loss")[2]))
        elif not isinstance(event, Log):
            found.append((event.kind,))
    return found


def test_what_lies_on_the_node_is_called_as_in_the_storage(story: Story) -> None:
    model = "azureml://datastores/workspaceblobstore/paths/phichat/runs/first/model"
    assert [e.uri for e in story.events if isinstance(e, Artifact)] == [model]
    assert not [said for said in told(story.events) if "/wd/" in said]
    last = story.events[-1]
    assert isinstance(last, Status) and last.detail.startswith(f"The model is in {model}.")


async def test_a_new_process_hears_the_same(story: Story, backend: AzureMLBackend) -> None:
    assert told(await watched(backend, story.job)) == told(story.events)
    lines = [line async for line in backend.logs(story.job)]
    assert any('"kind": "metric"' in line for line in lines)


async def test_the_model_comes_home_whole(
    story: Story, backend: AzureMLBackend, cloud: Cloud, tmp_path: Path
) -> None:
    reported: list[Event] = []
    folder = await backend.fetch(story.job, tmp_path / "model", reported.append)
    assert folder == tmp_path / "model"
    there = cloud.blobs.place("phichatstorage", "azureml-blobstore-0000", "phichat/runs/first/model")
    assert _content(folder) == _content(there)
    progress = [event for event in reported if isinstance(event, Progress)]
    assert progress[-1].done == progress[-1].total == sum(len(data) for data in _content(folder).values())
    shutil.rmtree(folder / "code")
    assert _content(await backend.fetch(story.job, folder, ignore)) == _content(there)


async def test_a_fetch_that_was_cut_off_goes_on_where_it_ended(
    story: Story, backend: AzureMLBackend, cloud: Cloud, tmp_path: Path
) -> None:
    partial = tmp_path / ".model.first.partial"
    partial.mkdir()
    there = cloud.blobs.place("phichatstorage", "azureml-blobstore-0000", "phichat/runs/first/model")
    weights = (there / "model.safetensors").read_bytes()
    (partial / "model.safetensors.part").write_bytes(weights[:100_000])
    cloud.faults.append(Fault("GET", r"tokenizer\.json", drop_before))
    folder = await backend.fetch(story.job, tmp_path / "model", ignore)
    assert (folder / "model.safetensors").read_bytes() == weights
    asked = [r.headers.get("x-ms-range", "") for r in cloud.requests if "model.safetensors" in str(r)]
    assert asked[0].startswith("bytes=100000-")
    assert not partial.exists()


async def test_half_a_file_of_something_else_is_noticed(
    story: Story, backend: AzureMLBackend, tmp_path: Path
) -> None:
    partial = tmp_path / ".model.first.partial"
    partial.mkdir()
    (partial / "model.safetensors.part").write_bytes(b"x" * 1000)
    with pytest.raises(Exception, match=r"did not arrive whole: its checksum"):
        await backend.fetch(story.job, tmp_path / "model", ignore)
    assert (await backend.fetch(story.job, tmp_path / "model", ignore)).is_dir()


async def test_a_folder_with_something_else_is_left_alone(
    story: Story, backend: AzureMLBackend, tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader", encoding="utf-8")
    with pytest.raises(Exception, match="is not empty, and is no model of phichat's"):
        await backend.fetch(story.job, tmp_path, ignore)
    assert (tmp_path / "letter.txt").exists()


async def test_an_evaluation_is_a_job_too(story: Story, backend: AzureMLBackend, cloud: Cloud) -> None:
    settings = {"answers": 2, "answer_tokens": 4, "general": False, "device": "cpu"}
    spec = EvalSpec(name="first-eval", model=story.job, dataset=data_in(story.folder), settings=settings)
    events = await watched(backend, await backend.submit(spec, ignore))
    last = events[-1]
    assert isinstance(last, Status) and last.state == "succeeded" and "of the base model" in last.detail
    numbers = next(event.values for event in events if isinstance(event, Metric))
    assert numbers["base_loss"] > 0 and numbers["tuned_loss"] > 0
    assert not [said for said in told(events) if "/wd/" in said]
    places = {event.name: Path(event.uri) for event in events if isinstance(event, Artifact)}
    home = story.folder / "lab" / ".phichat" / "azureml" / "reports" / "first-eval"
    assert places == {name: home / name for name in ("result.json", "report.html")}
    assert "<html" in places["report.html"].read_text(encoding="utf-8")
    assert json.loads(places["result.json"].read_text(encoding="utf-8"))["answers"]
    # It is in the storage still, and that is where it is told to be when it cannot be brought.
    places["report.html"].unlink()
    cloud.faults.append(Fault("GET", r"/runs/first-eval/report\.html", instead(error(403, "No", "No."))))
    again = await watched(story.backend(), Job(id="first-eval"))
    there = "azureml://datastores/workspaceblobstore/paths/phichat/runs/first-eval/report.html"
    assert there in [event.uri for event in again if isinstance(event, Artifact)]
    # Everything but the job was there already.
    assert [made.rpartition("/")[2] for made in cloud.made()] == ["first-eval"]


async def test_a_machine_that_is_taken_away_loses_nothing_that_was_kept(
    story: Story, backend: AzureMLBackend, cloud: Cloud, tmp_path: Path
) -> None:
    long = {"max_steps": 60, "keep_best": False, "eval_steps": None, "log_steps": 1}
    spec = story.spec.model_copy(
        update={"name": "taken", "hyperparameters": {**story.spec.hyperparameters, **long}}
    )
    job = await backend.submit(spec, ignore)
    folder = cloud.blobs.place("phichatstorage", "azureml-blobstore-0000", "phichat/runs/taken/checkpoints")
    events: list[Event] = []
    taken = False
    async for event in backend.watch(job):
        events.append(event)
        if not taken and [*folder.glob("*/complete.json")]:
            cloud.jobs.preempt("taken")
            taken = True
    assert cloud.jobs.found["taken"].tries == 2
    assert sum(isinstance(e, Status) and "took the machine away" in e.detail for e in events) == 1
    last = events[-1]
    assert isinstance(last, Status) and last.state == "succeeded"
    assert _steps(events) == list(range(1, 61))
    assert [event.seq for event in events] == list(range(len(events)))
    told_taken = next(n for n, e in enumerate(events) if isinstance(e, Status) and e.detail == TAKEN)
    assert events[told_taken].at == events[told_taken - 1].at, "waiting for another machine costs nothing"
    # Who listened hears the same again; who comes late hears both machines, each step once.
    assert told(await watched(backend, job)) == told(events)
    elsewhere = lab_of(tmp_path)
    late = await watched(elsewhere, job)
    assert told(await watched(elsewhere, job)) == told(late)
    await elsewhere.aclose()
    assert _steps(late) == list(range(1, 61))
    assert sum(isinstance(e, Status) and "took the machine away" in e.detail for e in late) == 1


def _steps(events: list[Event]) -> list[int]:
    return [event.step for event in events if isinstance(event, Metric) and "loss" in event.values]


def test_nothing_but_azure_is_asked(story: Story) -> None:
    # A host for telemetry would be one that the stand-in does not know.
    assert story.hosts == HOSTS


def test_no_file_holds_what_opens_a_door(story: Story, azure: Cloud) -> None:
    secrets = {SECRET, *azure.login.tokens, *azure.blobs.signatures}
    files = [path for path in story.folder.rglob("*") if path.is_file()]
    files += [path for path in (azure.folder / "blobs").rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path
    said = "".join(told([*story.reported, *story.events])) + story.job.model_dump_json()
    assert not [secret for secret in secrets if secret in said]


def _content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
