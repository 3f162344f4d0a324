"""`phichat check` and `phichat provision` as a person types them, with Azure on the wire."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from phichat.backends.azureml import compute
from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.base import Dataset, TrainSpec
from phichat.cli import main
from phichat.errors import BackendError
from phichat.workflow import Project
from tests.azure.places import Lab
from tests.azure.standin.cloud import SECRET, SUBSCRIPTION, Cloud
from tests.azure.standin.faults import Fault, instead
from tests.azure.standin.wire import Request, error


class Done(NamedTuple):
    code: int
    out: str
    err: str


Phichat = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on Azure."""
    place = tmp_path / "lab"
    place.mkdir()
    config = f'backend = "azureml"\n[backends.azureml]\nsubscription_id = "{SUBSCRIPTION}"\n'
    (place / "phichat.toml").write_text(config, encoding="utf-8")
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return place


@pytest.fixture
def phichat(folder: Path, capsys: pytest.CaptureFixture[str]) -> Phichat:
    """Runs a command line in this process."""

    def run(*argv: str) -> Done:
        code = main(argv)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


def test_from_nothing_to_ready(empty: Cloud, phichat: Phichat, folder: Path) -> None:
    done = phichat("check")
    assert done.code == 1
    assert "FAIL  workspace" in done.out and "→ phichat provision" in done.out
    done = phichat("provision", "--dry-run")
    assert done.code == 0
    assert "planned   workspace  phichat\n" in done.out
    assert "planned   role AcrPull  for the identity phichat\n" in done.out
    assert empty.made() == [], "both only look"
    assert phichat("provision").code == 2, "nobody can be asked here"
    assert empty.made() == []
    done = phichat("provision", "--yes")
    assert done.code == 0
    assert "done      workspace  phichat\n" in done.out
    assert phichat("check").code == 0
    done = phichat("provision")
    assert (done.code, done.err) == (0, "All is ready.\n")
    written = b"".join(file.read_bytes() for file in folder.parent.rglob("*") if file.is_file())
    for secret in (SECRET, *empty.login.tokens):
        assert secret.encode() not in written


def test_check_as_json_has_a_fix_for_everything(empty: Cloud, phichat: Phichat) -> None:
    lines = [json.loads(line) for line in phichat("check", "--json").out.splitlines()]
    checks = [line for line in lines if line["kind"] == "check"]
    assert {check["name"] for check in checks if not check["ok"]} == {"workspace", "identity", "storage"}
    assert all(check["fix"] for check in checks if not check["ok"])


def test_an_expired_sign_in_is_one_sentence_and_a_command(
    empty: Cloud, phichat: Phichat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "of yesterday")
    done = phichat("provision", "--yes")
    assert done.code == 1
    first, second = done.err.splitlines()
    assert first.endswith("The secret of the application that signs in to Azure is wrong or has expired.")
    assert "AZURE_CLIENT_SECRET" in second
    assert empty.made() == []


def test_refused_quota_is_the_last_word(empty: Cloud, phichat: Phichat) -> None:
    empty.quotas.limits["standardNCADSA100v4Family"] = 0
    empty.quotas.decides = "Failed"
    done = phichat("provision", "--yes")
    assert done.code == 1
    assert "done      role AcrPull" in done.out
    assert "new limit 24" in done.err.splitlines()[-1]


def test_a_process_that_is_killed_leaves_nothing_behind_that_is_made_twice(
    empty: Cloud, phichat: Phichat, folder: Path
) -> None:
    command = [sys.executable, "-m", "phichat", "provision", "--yes"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=folder, env=os.environ, stdout=quiet, stderr=quiet)

    def kill(request: Request) -> None:
        if len(empty.made()) == 6:
            process.kill()

    empty.after = kill
    assert process.wait(60) == -9
    empty.after = lambda request: None
    assert len(empty.made()) == 6
    assert phichat("provision", "--yes").code == 0
    assert len(empty.made()) == len(set(empty.made())) == 10
    assert phichat("check").code == 0


async def test_a_training_is_estimated_without_signing_in(empty: Cloud, lab: Lab, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("x" * 4000, encoding="utf-8")
    spec = TrainSpec(name="phi", dataset=Dataset(train_file=rows, train_rows=100), base_model="phi-3.5-mini")
    told = await lab().estimate(spec)
    assert told.usd is not None and 0 < told.usd[0] < told.usd[1] and told.usd_rate == 3.673
    assert told.source.startswith("Standard_NC24ads_A100_v4, prices.azure.com, ")
    assert {request.host for request in empty.requests} == {"prices.azure.com"}
    away = spec.model_copy(update={"dataset": Dataset(train_file=tmp_path / "none.jsonl")})
    with pytest.raises(BackendError, match="The training rows cannot be read"):
        await lab().estimate(away)


async def test_a_deployment_costs_what_the_list_says(empty: Cloud, folder: Path) -> None:
    async with Project.open(folder) as project:
        spec = project.serving.spec("smollm2")
        told = await project.estimate(spec)
        assert told.usd_per_hour == 0.266 and "prices.azure.com" in told.source
        assert not any(request.host.startswith("login.") for request in empty.requests)
        await project.estimate(spec)
        assert [request.host for request in empty.requests] == ["prices.azure.com"], "asked once"
    empty.prices.away = True
    async with Project.open(folder) as project:
        told = await project.estimate(spec)
        assert told.usd_per_hour == 0.266 and "skypilot-catalog v6, read 2026-11-22" in told.source


def test_what_is_alive_is_listed_with_its_price_and_deleted(
    empty: Cloud, phichat: Phichat, folder: Path
) -> None:
    empty.workspaces.make("phichat", "phichat")
    assert phichat("status").err == "Nothing is alive.\n"
    make_cluster(folder)
    empty.compute.size("phichat-nc24ads-a100-v4", 1, 0)
    done = phichat("status", "--set", "backends.azureml.budget=50")
    assert done.out.splitlines()[1].split() == [
        *("phichat-nc24ads-a100-v4", "cluster", "1", "node,", "soon", "0"),
        *("US$3.67", "an", "hour"),
    ]
    assert done.err == (
        "Jobs of this project: 0.0 h, US$0.00 by list price; what is alive: US$3.67 an hour; "
        "left of the budget: US$50.00.\n"
    )
    assert phichat("down", "--yes").out == "phichat-nc24ads-a100-v4\n"
    assert phichat("status").err == "Nothing is alive.\n"


def test_one_that_cannot_be_deleted_keeps_none_of_the_others_alive(
    empty: Cloud, phichat: Phichat, folder: Path
) -> None:
    empty.workspaces.make("phichat", "phichat")
    for name in ("first", "second", "third"):
        make_cluster(folder, name)
    stuck = instead(error(409, "Conflict", "Another operation is in progress."))
    empty.faults.append(Fault("DELETE", "/computes/(first|second)", stuck, times=2))
    done = phichat("down", "--yes")
    assert (done.code, done.out) == (1, "third\n")
    assert done.err.startswith("phichat: 2 of 3 could not be removed and may cost on: cluster first: ")
    assert "; cluster second: " in done.err
    assert phichat("down", "--yes").out == "first\nsecond\n"


def make_cluster(folder: Path, name: str = "") -> None:
    """The project's cluster, as its first training makes it."""

    async def make() -> None:
        async with Project.open(folder, flags={"backends.azureml.compute": name}) as project:
            backend = project.backend
            assert isinstance(backend, AzureMLBackend)
            await compute.make(backend._workspace)

    asyncio.run(make())
