"""Deployments as a person types them: deploy, chat, a second version, back, and nothing left that costs."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from phichat.cli import main
from tests.azure.serving import play_containers
from tests.azure.standin.cloud import SUBSCRIPTION, Cloud
from tests.azure.standin.others import SAYS, MLflow, OpenAI
from tests.azure.test_others import ENDPOINTS
from tests.azure.training import small_trainer


class Done(NamedTuple):
    code: int
    out: str
    err: str


Phichat = Callable[..., Done]


@pytest.fixture
def phichat(
    empty: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Phichat:
    """Runs a command line in a project on Azure whose containers are played."""
    trainer = small_trainer(tmp_path / "trainer", monkeypatch)
    (trainer / "Dockerfile").write_text('CMD ["python"]\n', encoding="utf-8")
    play_containers(monkeypatch)
    place = tmp_path / "lab"
    place.mkdir()
    config = f'backend = "azureml"\n[backends.azureml]\nsubscription_id = "{SUBSCRIPTION}"\n'
    (place / "phichat.toml").write_text(config, encoding="utf-8")
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    empty.workspaces.make("phichat", "phichat")

    def run(*argv: str) -> Done:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        code = main(argv)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


def test_from_a_model_to_nothing_left(empty: Cloud, phichat: Phichat, tiny_phi3: Path) -> None:
    model = str(tiny_phi3)
    planned = phichat("deploy", model, "--dry-run")
    assert planned.code == 0 and "planned   traffic" in planned.out and "an hour" in planned.err
    assert "tokens a second" in planned.err
    assert phichat("deploy", model).code == 2 and not empty.endpoints.found, "it costs: it asks first"
    first = phichat("deploy", model, "--yes")
    assert first.code == 0
    assert phichat("chat", "-p", "Is it there?").out == "Yes.\n"
    better = ("deploy", model, "--name", "better")
    assert "10, 50, then 100 % to better-" in phichat(*better, "--gradual", "--dry-run").out
    assert "traffic  100 % to better-" in phichat(*better, "--no-gradual", "--dry-run").out
    empty.forget()
    second = phichat(*better, "--gradual", "--yes")
    given = [each.json["properties"]["traffic"] for each in empty.requests if b'"traffic"' in each.body]
    assert [len(shares) for shares in given] == [2, 2, 1]
    old, new = first.out.strip(), second.out.strip()
    assert phichat("rollback").out.strip() == old
    answering = phichat("traffic").out.splitlines()[1].split()
    assert answering[0] == old and answering[2:6] == ["yes", "yes", "100", "%"]
    forth = json.loads(phichat("rollback", "--json").out.splitlines()[-1])
    assert (forth["kind"], forth["deployment"]["id"], forth["traffic"]) == ("deployment", new, 100)
    short = [name.partition("/")[2] for name in (old, new)]
    shared = phichat("traffic", f"{short[0]}=40", f"{new}=60")
    assert shared.code == 0 and "40 %" in shared.out and "60 %" in shared.out
    assert phichat("traffic", f"{short[0]}=40", "nobody=60").code == 2
    assert phichat("traffic", f"{new}=101").code == 2
    events = list(map(json.loads, phichat("traffic", f"{new}=100", "--json").out.splitlines()))
    shares = {each["deployment"]["id"]: each["traffic"] for each in events if each["kind"] == "deployment"}
    assert events[0]["kind"] == "step" and shares == {old: 0, new: 100}
    assert "US$" in phichat("status").out
    assert phichat("down", "--old", "--yes").out.split() == [old]
    assert phichat("down", "--old", "--yes").err == "Nothing old is alive.\n"
    assert phichat("chat", "-p", "Is it there?").out == "Yes.\n"
    env = phichat("env").out
    (endpoint,) = empty.endpoints.found.values()
    assert endpoint.keys[0] in env and f"https://{endpoint.name}.eastus2.inference.ml.azure.com/v1" in env
    assert phichat("down", "--yes").code == 0
    assert not empty.endpoints.found
    assert phichat("down", "--yes").err == "Nothing is alive.\n"
    assert phichat("rollback").code == 1, "there is nothing to go back to"


def test_endpoints_of_others_are_seen_asked_and_left(empty: Cloud, phichat: Phichat) -> None:
    empty.endpoints.theirs(f"{ENDPOINTS}/theirs", MLflow(), "Phi-3-mini-4k-instruct")
    route = "/v1/chat/completions"
    empty.endpoints.theirs(f"{ENDPOINTS}/fast", OpenAI(), "Phi-4", route)
    told = phichat("status")
    assert "theirs/blue  Phi-3-mini-4k-instruct" in told.out and "of others" in told.out
    assert told.err == "Nothing is alive.\n", "what others pay for"
    for name in ("theirs", "theirs/blue"):
        assert phichat("chat", "-p", "What is salt?", "--deployment", name).out == f"{SAYS}\n"
    assert phichat("chat", "-p", "What is salt?", "--deployment", "fast").out == f"{SAYS}\n"
    assert phichat("chat", "-p", "What is salt?", "--deployment", "blue").code == 2, "there are two"
    assert phichat("chat", "-p", "What is salt?").code == 1, "none was chosen for good"
    assert "https://fast.eastus2.inference.ml.azure.com/v1" in phichat("env", "--deployment", "fast").out
    assert phichat("env", "--deployment", "theirs").code == 1
    assert phichat("logs", "theirs/blue").out == "INFO: the server of somebody else\n"
    assert phichat("logs", "nobody").code == 1
    assert phichat("rollback").code == 1
    assert phichat("traffic", "theirs/blue=100").code == 2
    for which in ([], ["--old"]):
        assert phichat("down", *which, "--yes").code == 0
    assert len(empty.endpoints.found) == 2
    assert not empty.made()


def test_what_is_over_its_time_is_told_and_deleted(
    empty: Cloud, phichat: Phichat, tiny_phi3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, hours = str(tiny_phi3), ("--set", "deploy.ttl_hours=2", "--yes")
    kept = phichat("deploy", model, "--name", "kept", "--yes").out.strip()
    short = phichat("deploy", model, "--name", "short", *hours).out.strip()
    (endpoint,) = empty.endpoints.found.values()
    assert phichat("down", "--expired", "--yes").err == "Nothing is over its time.\n"
    assert "over its time" not in phichat("runs").err
    later = time.time() + 3 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    empty.forget()
    assert f"phichat: {short} is over its time since " in phichat("runs").err
    assert not empty.requests, "nobody is asked about it"
    elsewhere = phichat("runs", "--backend", "local").err
    assert "down --expired --backend azureml" in elsewhere, "also who works elsewhere by now"
    assert "phichat down --expired" in phichat("status").err
    assert phichat("down", "--expired").code == 2, "it asks first"
    # Deployed again, it has its time again.
    assert phichat("deploy", model, "--name", "short", "--set", "deploy.ttl_hours=4", "--yes").code == 0
    assert len(endpoint.deployments) == 2
    assert phichat("down", "--expired", "--yes").out == ""
    later += 9 * 3600
    done = phichat("down", "--expired", "--yes")
    assert (done.code, done.out) == (0, f"{short}\n") and "over its time" not in phichat("runs").err
    assert [f"{endpoint.name}/{name}" for name in endpoint.deployments] == [kept]
    assert endpoint.body["properties"]["traffic"] == {kept.rpartition("/")[2]: 100}
    phichat("deploy", model, "--name", "kept", *hours)
    later += 9 * 3600
    assert phichat("down", "--expired", "--yes").out.split() == [kept, endpoint.name]
    assert not empty.endpoints.found
    assert "over its time" not in phichat("status").err


def test_what_a_deployment_has_cost_is_taken_from_the_budget(
    empty: Cloud, phichat: Phichat, tiny_phi3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = ("--set", "backends.azureml.budget=10")
    phichat("deploy", str(tiny_phi3), "--yes", *budget)
    later = time.time() + 20 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    told = "deployments: US$5.32 until now; what is alive: US$0.27 an hour; left of the budget: US$4.68."
    refused = phichat("deploy", str(tiny_phi3), "--name", "other", "--yes", *budget)
    assert refused.code == 1 and "US$4.68 of the budget of US$10.00 is left." in refused.err
    assert told in phichat("status", *budget).err
    assert phichat("down", "--yes").code == 0
    later += 3600
    assert "deployments: US$5.32 until now; left of the budget: US$4.68." in phichat("status", *budget).err
