"""This machine as a backend, with the real SmolLM2 and a server process that outlives whoever started it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from phichat import models
from phichat.backends.base import (
    ChatOptions,
    Dataset,
    Deployment,
    DeploySpec,
    Message,
    TrainSpec,
    Usage,
)
from phichat.backends.local import LocalBackend, LocalSettings
from phichat.backends.local.servers import ModelServers
from phichat.backends.local.serving import _Record, _template
from phichat.backends.process import ProcessJobs
from phichat.errors import BackendError, NotFoundError, UnavailableError
from phichat.events import Event, Status, Step

FRANCE = [Message(role="user", content="What is the capital of France? Answer in one word.")]
STORY = [Message(role="user", content="Tell me a very long story about a lighthouse.")]
GREEDY = ChatOptions(temperature=0, max_new_tokens=8)


def nothing(event: Event) -> None:
    """Nobody listens."""


async def answer(
    backend: LocalBackend, deployment: Deployment, options: ChatOptions = GREEDY
) -> tuple[str, Usage]:
    parts = [part async for part in backend.chat(deployment, FRANCE, options)]
    assert isinstance(parts[-1], Usage)
    return "".join(part for part in parts if isinstance(part, str)), parts[-1]


def server_of(backend: LocalBackend) -> psutil.Process:
    """The one server process of the backend."""
    found = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any("serve.py" in part for part in process.info["cmdline"] or ())
        and str(backend.workdir) in process.cwd()
    ]
    assert len(found) == 1, f"{len(found)} servers are running"
    return found[0]


@pytest.fixture
async def backend(tmp_path: Path, smollm2: Path) -> AsyncIterator[LocalBackend]:
    """The backend, with nothing running before the test and nothing after it."""
    backend = LocalBackend(LocalSettings(threads=1), tmp_path / "local")
    yield backend
    for resource in await backend.resources():
        await backend.remove(resource, nothing)


async def deployed(backend: LocalBackend, model: str = "smollm2", name: str = "chat") -> Deployment:
    return await backend.deploy(DeploySpec(name=name, model=model), nothing)


async def gone(backend: LocalBackend) -> None:
    """Wait until no server is there, nor what supervised it."""
    deadline = time.monotonic() + 30
    while await backend.resources():
        assert time.monotonic() < deadline, "it is still there"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("said", ["", "http://127.0.0.1:5000"])
async def test_runs_are_in_mlflow_where_the_person_has_said(
    tmp_path: Path, tiny_phi3: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", said)
    monkeypatch.setattr(ProcessJobs, "start", lambda *_: None)
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"messages": []}\n', encoding="utf-8")
    spec = TrainSpec(name="one", dataset=Dataset(train_file=rows), base_model=str(tiny_phi3))
    await LocalBackend(LocalSettings(), tmp_path).submit(spec, nothing)
    config = json.loads((tmp_path / "jobs" / "one" / "config.json").read_text("utf-8"))
    assert config["mlflow_tracking_uri"] == ("" if said else f"sqlite:///{tmp_path / 'mlflow.db'}")


async def test_a_question_is_answered_by_the_real_model(backend: LocalBackend) -> None:
    steps: list[tuple[str, str]] = []

    def report(event: Event) -> None:
        if isinstance(event, Step):
            steps.append((event.name, event.state))

    deployment = await backend.deploy(DeploySpec(name="chat", model="smollm2"), report)
    assert steps == [("model", "running"), ("model", "reused"), ("server", "running"), ("server", "done")]
    text, usage = await answer(backend, deployment)
    assert "Paris" in text
    assert usage.prompt_tokens > 20 and 1 <= usage.completion_tokens <= 8
    assert usage.context == 8192

    steps.clear()
    assert await backend.deploy(DeploySpec(name="chat", model="smollm2"), report) == deployment
    assert ("server", "reused") in steps

    (state,) = await backend.deployments()
    assert state.healthy and state.deployment == deployment
    (resource,) = await backend.resources()
    assert (resource.name, resource.state, resource.usd_per_hour) == ("chat", "ready", 0)

    folder = backend.workdir / "deployments" / "chat"
    key = (folder / "key").read_text()
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert key not in " ".join(server_of(backend).cmdline())
    assert not any(key in line for line in [line async for line in backend.logs(deployment)])

    again = LocalBackend(LocalSettings(threads=1), backend.workdir)
    assert (await answer(again, deployment))[0] == text, "a new instance finds the server"

    await backend.delete(deployment)
    await backend.delete(deployment)
    assert await backend.deployments() == [] == await backend.resources()
    with pytest.raises(NotFoundError):
        await answer(backend, deployment)


START = """
import asyncio, sys
from pathlib import Path
from phichat.backends.base import DeploySpec
from phichat.backends.local import LocalBackend, LocalSettings

sys.stdin.readline()
backend = LocalBackend(LocalSettings(threads=1), Path(sys.argv[1]))
spec = DeploySpec(name="chat", model="smollm2")
print(asyncio.run(backend.deploy(spec, lambda event: None)).url, flush=True)
sys.stdin.read()
"""


async def test_two_who_start_in_the_same_moment_share_one_server(backend: LocalBackend) -> None:
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(backend.workdir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ.copy(),
        )
        for _ in range(2)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    urls = [await asyncio.to_thread(starter.stdout.readline) for starter in starters if starter.stdout]
    assert urls[0] == urls[1] != ""
    server = server_of(backend)

    for starter in starters:
        starter.kill()
        starter.communicate()
    assert server.is_running(), "the server outlives those who started it"
    (state,) = await backend.deployments()
    assert state.healthy and state.deployment.url == urls[0].strip()


async def test_a_server_that_stopped_is_started_by_the_next_question(backend: LocalBackend) -> None:
    deployment = await deployed(backend)
    server = server_of(backend)
    server.kill()
    await gone(backend)
    (state,) = await backend.deployments()
    assert not state.healthy and "next question" in state.detail
    assert "Paris" in (await answer(backend, deployment))[0]
    assert server_of(backend).pid != server.pid


async def test_an_idle_server_stops_by_itself(tmp_path: Path, smollm2: Path) -> None:
    backend = LocalBackend(LocalSettings(threads=1, idle_stop=0.01), tmp_path / "local")
    await deployed(backend)
    await gone(backend)
    (state,) = await backend.deployments()
    assert state.detail == "starts again with the next question"


async def test_a_server_that_dies_in_mid_answer_is_an_error_and_no_silence(backend: LocalBackend) -> None:
    deployment = await deployed(backend)
    parts = backend.chat(deployment, STORY, ChatOptions(temperature=0, max_new_tokens=400))
    await anext(parts)
    server_of(backend).kill()
    with pytest.raises(UnavailableError):
        async for _ in parts:
            pass


async def test_another_model_or_setting_replaces_the_server(backend: LocalBackend, tiny_phi3: Path) -> None:
    await deployed(backend)
    first = server_of(backend)
    await deployed(backend, model=str(tiny_phi3))
    assert server_of(backend).pid != first.pid
    (state,) = await backend.deployments()
    assert state.model == str(tiny_phi3) or state.model == tiny_phi3.name


async def test_a_deployment_that_is_deleted_meanwhile_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = LocalBackend(LocalSettings(), tmp_path)
    for name in ("one", "two"):
        folder = tmp_path / "deployments" / name
        folder.mkdir(parents=True)
        record = _Record(spec=DeploySpec(name=name, model="smollm2"), path=folder, title="smollm2")
        (folder / "deployment.json").write_text(record.model_dump_json(), encoding="utf-8")
    doing = ModelServers.doing

    async def deleting(servers: ModelServers, name: str) -> str:
        await backend.delete(Deployment(id="one"))
        return await doing(servers, name)

    monkeypatch.setattr(ModelServers, "doing", deleting)
    assert [state.deployment.id for state in await backend.deployments()] == ["two"]


async def test_what_a_training_would_do_is_looked_up_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    cached, status = models.cached, ProcessJobs.status

    def look(ref: models.ModelRef, cache: Path) -> Path | None:
        looked.append(threading.get_ident())
        return cached(ref, cache)

    def see(jobs: ProcessJobs, name: str) -> Status:
        looked.append(threading.get_ident())
        return status(jobs, name)

    monkeypatch.setattr(models, "cached", look)
    monkeypatch.setattr(ProcessJobs, "status", see)
    spec = TrainSpec(name="one", dataset=Dataset(train_file=tmp_path), base_model="smollm2")
    plan = await LocalBackend(LocalSettings(), tmp_path).plan(spec)
    assert [(step.name, step.state) for step in plan][1:] == [("job", "planned")]
    assert len(looked) == 2 and threading.get_ident() not in looked


async def test_a_model_that_is_not_there(backend: LocalBackend) -> None:
    for model in ("no-such-model", "/no/such/folder"):
        with pytest.raises(NotFoundError):
            await deployed(backend, model=model)
    assert await backend.deployments() == []


async def test_a_model_that_cannot_be_loaded_is_one_sentence(
    backend: LocalBackend, tiny_phi3: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in tiny_phi3.iterdir():
        (broken / file.name).write_bytes(
            file.read_bytes()[:1000] if file.suffix == ".safetensors" else file.read_bytes()
        )
    with pytest.raises(BackendError) as error:
        await deployed(backend, model=str(broken))
    assert "Traceback" not in error.value.message and len(error.value.message.splitlines()) == 1
    assert await backend.resources() == []


@pytest.mark.parametrize("name", ["../up", "", "a/b", "x" * 80])
async def test_names_that_are_no_names(backend: LocalBackend, name: str) -> None:
    with pytest.raises(BackendError):
        await deployed(backend, name=name)


async def test_a_processor_that_is_not_there_is_told_with_its_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> Deployment:
        raise BackendError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr("phichat.backends.local.checks.GPU_DEVICES", ())
    monkeypatch.setattr("phichat.backends.local.serving.Serving.deploy", fail)
    monkeypatch.setenv("PATH", str(tmp_path))
    nowhere = LocalBackend(LocalSettings(device="cuda"), tmp_path)
    with pytest.raises(BackendError) as caught:
        await nowhere.deploy(DeploySpec(name="base", model="smollm2"), print)
    assert caught.value.hint == 'Set device = "auto" under [backends.local].'
    assert caught.value.hint in [check.fix for check in await nowhere.check() if not check.ok]


async def test_check_tells_how_to_get_what_is_missing(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(check.ok for check in await backend.check())
    monkeypatch.setattr("phichat.backends.local.checks.NEEDED", ("no_such_package",))
    (packages,) = [check for check in await backend.check() if not check.ok]
    assert packages.fix == "pip install 'phichat[local]'"


def test_the_template_that_a_model_was_trained_with_is_in_its_folder(tmp_path: Path) -> None:
    assert _template(tmp_path) == "", "nobody trained it here"
    (tmp_path / "phichat.json").write_text('{"template_sha256": "abc"}', encoding="utf-8")
    assert _template(tmp_path) == "abc"
    (tmp_path / "phichat.json").write_text("{", encoding="utf-8")
    assert _template(tmp_path) == ""
