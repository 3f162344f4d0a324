"""`--json`: what a command tells a script, event by event and then the result, and nothing else with it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phichat import models
from phichat.cli.parser import VERBS
from tests.cli.conftest import Run
from tests.plugins.install import write_metadata

Told = Callable[..., list[dict[str, Any]]]

LINES_ALREADY = {"init", "logs", "web"}
"""Verbs whose output is a path, an address or lines that somebody else has written."""


@pytest.fixture
def told(phichat: Run) -> Told:
    """What a command that succeeds tells a script: `told("deploy")`."""

    def run(*argv: str, code: int = 0) -> list[dict[str, Any]]:
        done = phichat(*argv, "--json")
        assert done.code == code, done.err
        return [json.loads(line) for line in done.out.splitlines()]

    return run


def kinds(lines: list[dict[str, Any]]) -> list[str]:
    return [line["kind"] for line in lines]


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in LINES_ALREADY])
def test_every_verb_with_a_result_tells_it_to_scripts(phichat: Run, verb: str) -> None:
    below = {"flow": ["run"], "history": ["list"], "secret": ["list"]}
    assert "\n  --json " in phichat(verb, *below.get(verb, []), "--help").out


@pytest.mark.usefixtures("project")
def test_a_deployment_is_told_as_status_tells_it(told: Told) -> None:
    progress, deployment = told("deploy")
    assert (progress["kind"], progress["what"]) == ("progress", "feather")
    assert deployment["deployment"]["id"] == "polly" and deployment["healthy"]
    assert told("status")[0] == deployment
    assert told("traffic") == [deployment]


@pytest.mark.usefixtures("project")
def test_a_dry_run_of_a_deployment(told: Told) -> None:
    cage, parrot, estimate = told("deploy", "--dry-run", "--set", "backends.parrot.usd_per_hour=2.5")
    assert (cage["kind"], cage["state"], parrot["state"]) == ("step", "reused", "planned")
    assert (estimate["kind"], estimate["usd_per_hour"]) == ("estimate", 2.5)
    assert kinds(told("status")) == ["spending"], "nothing was made"


@pytest.mark.usefixtures("project")
def test_what_costs_or_deletes_still_needs_yes(told: Told) -> None:
    assert told("deploy", "--set", "backends.parrot.usd_per_hour=2.5", code=2) == []
    told("deploy")
    assert told("down", code=2) == []
    assert told("down", "--yes") == [{"kind": "removed", "type": "parrot", "name": "polly"}]
    assert told("down", "--yes") == [], "nothing is alive"


@pytest.mark.usefixtures("project")
def test_who_stops_reading_does_not_stop_what_is_half_made(
    phichat: Run, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(text: str) -> int:
        raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "write", closed)
        done = phichat("deploy", "--json")
    assert (done.code, done.err) == (0, ""), "nobody is there to be told anything"
    assert kinds(told("status")) == ["deployment", "resource", "spending"]


@pytest.mark.usefixtures("project")
def test_access_for_other_clients(told: Told) -> None:
    progress, access = told("env")
    assert progress["kind"] == "progress"
    assert access == {
        "kind": "access",
        "base_url": "http://127.0.0.1:9/v1",
        "key": "polly wants '$x'",
        "model": "",
    }


@pytest.mark.usefixtures("school")
def test_the_steps_of_a_training_and_what_they_take(told: Told) -> None:
    assert kinds(told("train", "--dry-run")) == ["step", "step", "estimate"]
    assert told("runs") == []


@pytest.mark.usefixtures("school")
def test_a_run_is_told_whether_it_is_new_or_done(told: Told) -> None:
    unexamined = ("--set", "backends.pupil.examined=false")
    first = told("train", "--name", "one", *unexamined)
    assert kinds(first)[:2] == ["step", "run"] and first[-1]["state"] == "succeeded"
    (again,) = told("train", "--name", "one", *unexamined)
    assert (again["kind"], again["name"], again["state"]) == ("run", "one", "succeeded")
    (ended,) = told("cancel", "one")
    assert ended == again, "one that is finished stays as it is"
    evaluation = told("eval", "one", *unexamined)
    assert kinds(evaluation)[0] == "step" and kinds(evaluation)[-1] == "evaluation"


def test_a_model_that_was_fetched(told: Told, school: Path) -> None:
    told("train", "--name", "one")
    assert told("fetch") == [{"kind": "fetched", "run": "one", "folder": str(school / "one")}]


def test_a_sign_in(told: Told, project: Path, parrot: Path) -> None:
    write_metadata(parrot, "phichat-nest", {"nest": "tests.cli.nest"})
    code, end = told("login", "--backend", "nest")
    assert (code["kind"], code["detail"]) == ("status", "Open the window and whistle ABC123.")
    assert end == {"kind": "login", "kept": True}
    forgotten = ("--backend", "nest", "--set", "backends.nest.keyring=false")
    assert told("login", *forgotten, code=1)[-1] == {"kind": "login", "kept": False}


def test_backends(told: Told, parrot: Path) -> None:
    write_metadata(parrot, "phichat-dodo", {"dodo": "phichat_dodo"}, version="0.1")
    found = {each["name"]: each for each in told("backends")}
    assert found["parrot"] == {
        "kind": "backend",
        "name": "parrot",
        "package": "phichat-parrot 1.2",
        "title": "A parrot",
        "error": "",
    }
    assert "ModuleNotFoundError" in found["dodo"]["error"]


def test_models(
    phichat: Run, told: Told, smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("PHICHAT_CACHE", str(cache))
    nowhere = told("models")
    assert [each["name"] for each in nowhere] == list(models.catalogue())
    assert (nowhere[0]["parameters"], nowhere[0]["folder"], nowhere[0]["bytes"]) == (134_515_008, None, None)
    place = cache / "models" / smollm2.name
    shutil.copytree(smollm2, place, copy_function=lambda source, target: Path(target).symlink_to(source))
    here = told("models", "list")
    assert (here[0]["folder"], here[0]["bytes"] > 100_000_000) == (str(place), True)
    assert told("models", "pull", "smollm2")[-1] == {
        "kind": "pulled",
        "model": "smollm2",
        "folder": str(place),
    }
    assert phichat("models", "--json", "list").out == phichat("models", "list", "--json").out
    assert told("models", "remove", "smollm2", "--yes") == [
        {"kind": "removed", "type": "model", "name": "smollm2"}
    ]
    assert told("models", "remove", "smollm2", "--yes") == [], "it is gone already"


def test_secrets_are_told_by_name_only(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "abc-123")
    assert told("secret", "list")[:2] == [
        {"kind": "secret", "name": "hf_token", "source": "HF_TOKEN"},
        {"kind": "secret", "name": "history.key", "source": None},
    ]
