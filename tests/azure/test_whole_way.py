"""From an empty subscription to a chat with two models of one's own, and back to nothing, by commands."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from phichat.cli import main
from phichat.events import Piece, Reply, parse
from tests.azure.standin.cloud import SECRET, SUBSCRIPTION, Cloud
from tests.azure.training import SMALL, data_in

CONFIG = """\
backend = "azureml"
base_model = "{model}"
[data]
source = "{data}"
test_size = 0.1
[train]
{train}
[backends.azureml]
subscription_id = "{subscription}"
"""
TRAIN = {**SMALL, "max_steps": 2, "answer_tokens": 1}
TRAIN.pop("device")
HELLO = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of its output."""
        return self.out.splitlines()[-1]


Phichat = Callable[..., Done]


@pytest.fixture
def phichat(
    tmp_path: Path, tiny_phi3: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Phichat:
    """Runs a command that has to succeed, in a project on Azure."""
    place = tmp_path / "lab"
    place.mkdir()
    train = "\n".join(f"{name} = {json.dumps(value)}" for name, value in TRAIN.items())
    rows = data_in(tmp_path).train_file
    config = CONFIG.format(model=tiny_phi3, data=rows, train=train, subscription=SUBSCRIPTION)
    (place / "phichat.toml").write_text(config, encoding="utf-8")
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")

    def run(*argv: str) -> Done:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        code = main(argv)
        said = capsys.readouterr()
        assert code == 0, said.err
        return Done(code, said.out, said.err)

    return run


@contextlib.contextmanager
def asking(env: str) -> Iterator[list[int]]:
    """A client that asks the endpoint all the while; the statuses of its answers."""
    told = dict(line.split("=", 1) for line in env.splitlines() if "=" in line)
    statuses: list[int] = []
    done = threading.Event()

    def ask() -> None:
        headers = {"Authorization": f"Bearer {told['OPENAI_API_KEY']}"}
        with httpx.Client(timeout=60, headers=headers) as client:
            while not done.is_set():
                answer = client.post(f"{told['OPENAI_BASE_URL']}/chat/completions", json=HELLO)
                statuses.append(answer.status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        done.set()
        thread.join()


@pytest.mark.timeout(300)
def test_from_nothing_to_a_chat_and_back_to_nothing(empty: Cloud, phichat: Phichat, tmp_path: Path) -> None:
    phichat("provision", "--yes")
    phichat("check")
    phichat("data")
    first = phichat("train", "--yes").last
    old = phichat("deploy", first, "--yes").last
    (model,) = empty.models.found.values()
    assert model["properties"]["jobName"] == first
    assert {"base_model", "data", "template"} <= set(model["properties"]["tags"])
    (endpoint,) = empty.endpoints.found.values()
    (identity,) = empty.resources.of("Microsoft.ManagedIdentity/userAssignedIdentities")
    assert [*endpoint.body["identity"]["userAssignedIdentities"]] == [identity["id"]]
    events = [
        parse(line)
        for line in phichat(
            "chat", "-p", "Tell me about the sea.", "--json", "--max-new-tokens", "64"
        ).out.splitlines()
    ]
    assert len([event for event in events if isinstance(event, Piece)]) > 1, "it streams"
    (reply,) = [event for event in events if isinstance(event, Reply)]
    assert reply.completion_tokens and reply.prompt_tokens

    second = phichat("train", "--again", "--yes").last
    assert second != first
    with asking(phichat("env").out) as statuses:
        new = phichat("deploy", second, "--yes").last
        before = len(statuses)
        assert shares(empty) == {new: 100}
        assert phichat("rollback").last == old
        assert shares(empty) == {old: 100}
        assert phichat("down", "--old", "--yes").out.split() == [new]
    assert 0 < before < len(statuses) and set(statuses) == {200}
    assert empty.scoring.asked[new.rpartition("/")[2]] > 2, "not by its smoke test alone"

    written = b"".join(file.read_bytes() for file in tmp_path.rglob("lab/**/*") if file.is_file())
    for secret in (SECRET, *endpoint.keys, endpoint.token, *empty.login.tokens):
        assert secret.encode() not in written
    assert not any(each.startswith("DELETE") and "/deployments/" not in each for each in empty.made())
    # Also when nothing is known here any more.
    shutil.rmtree(tmp_path / "lab" / ".phichat")
    phichat("down", "--yes")
    assert not empty.endpoints.found and not empty.compute.found
    done = phichat("status")
    assert done.out == "" and done.err.startswith("Nothing is alive.\n")


def shares(cloud: Cloud) -> dict[str, int]:
    """Who answers how many of a hundred requests, by id."""
    (endpoint,) = cloud.endpoints.found.values()
    traffic = endpoint.body["properties"]["traffic"]
    return {f"{endpoint.name}/{name}": percent for name, percent in traffic.items() if percent}
