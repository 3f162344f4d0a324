"""The whole way on this machine with a tiny Phi-3: trained, killed, resumed, evaluated, fetched, deployed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from phichat.backends.process import ProcessJobs
from phichat.events import Event, Metric, Reply, Status, parse
from tests.cli.conftest import Done
from tests.cli.pty_session import session
from tests.conftest import CACHE

pytestmark = pytest.mark.timeout(300)

CONFIG = """\
base_model = "{model}"
[data]
test_size = 0.1
[train]
learning_rate = 3e-3
batch_size = 8
max_length = 128
packing = false
scheduler = "constant"
warmup = 0
keep_best = false
save_steps = 4
answer_tokens = 8
evaluate = false
[backends.local]
device = "cpu"
threads = 1
"""
SLOW = ("--name", "adapter", "--method", "lora", "--max-steps", "60", "--eval-steps", "30")
"""Long enough to be interrupted and killed in the middle."""

Phichat = Callable[..., Done]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_phi3: Path) -> Iterator[Path]:
    """A project and a person's folders that all tests here share; what was started is stopped in the end."""
    folder = tmp_path_factory.mktemp("whole-way")
    (folder / "phichat.toml").write_text(CONFIG.format(model=tiny_phi3), encoding="utf-8")
    yield folder
    run(folder, "down", "--yes")


@pytest.fixture(autouse=True)
def own_home(place: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same person in every test."""
    monkeypatch.setenv("PHICHAT_HOME", str(place / "home"))


@pytest.fixture
def phichat(place: Path) -> Phichat:
    """Runs a command in a process of its own, in the project."""
    return lambda *argv: run(place, *argv)


def run(place: Path, *argv: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "phichat", *argv],
        cwd=place,
        env={**os.environ, "PHICHAT_HOME": str(place / "home"), "PHICHAT_CACHE": str(CACHE)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=200,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def jobs(place: Path) -> ProcessJobs:
    return ProcessJobs(place / ".phichat" / "local" / "jobs")


def events(text: str) -> list[Event]:
    return [parse(line) for line in text.splitlines()]


def steps(told: list[Event]) -> list[int]:
    return [event.step for event in told if isinstance(event, Metric) and "loss" in event.values]


def test_the_demo_set_is_prepared(phichat: Phichat) -> None:
    assert phichat("data", "demo", "--no-tokens").code == 0


def test_an_adapter_survives_ctrl_c_and_kill(phichat: Phichat, place: Path) -> None:
    with session("train", *SLOW, cwd=place) as terminal:
        terminal.match(r"step ([5-9]|\d\d) of ", seconds=90)  # a step may pass before it is drawn
        terminal.type("\x03")
        terminal.until("adapter goes on without you.")
        assert terminal.ended() == 130
    trainer = jobs(place).pid("adapter")
    assert trainer is not None, "Ctrl-C left the job running"
    os.kill(trainer, signal.SIGKILL)
    done = phichat("watch")
    assert done.code == 1
    assert "phichat: adapter failed: It was ended by SIGKILL." in done.err

    again = phichat("train", *SLOW, "--json")
    assert again.code == 0, again.err
    told = events(again.out)
    numbers = steps(told)
    assert numbers == sorted(set(numbers)) and numbers[0] == 1, "nothing is told twice"
    assert any(isinstance(e, Status) and "from step" in e.detail for e in told), (
        "it went on from a checkpoint"
    )
    late = events(phichat("watch", "--json").out)
    assert steps(late) == numbers
    assert [e.seq for e in late[:-1]] == sorted({e.seq for e in late[:-1] if e.seq is not None})
    assert [e.state for e in late if isinstance(e, Status) and e.finished] == ["succeeded"]


def test_all_weights_survive_a_cancel(phichat: Phichat, place: Path) -> None:
    whole = ("--name", "whole", "--method", "full", "--epochs", "2")
    assert phichat("train", *whole, "--detach").code == 0
    assert phichat("cancel", "whole").code == 0
    assert phichat("runs").out.splitlines()[1].split()[:2] == ["whole", "cancelled"]
    done = phichat("train", *whole)
    assert (done.code, done.out) == (0, "whole\n")
    assert "Eval loss: " in done.err
    before, after = done.err.split("Eval loss: ")[1].split(" after")[0].split(" before, ")
    assert float(after) < float(before)


def test_the_models_are_whole(phichat: Phichat, place: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for name in ("adapter", "whole"):
        done = phichat("fetch", name)
        assert done.out == f"{place / name}\n"
        assert AutoTokenizer.from_pretrained(place / name).chat_template
        AutoModelForCausalLM.from_pretrained(place / name)
    (place / "notes").mkdir()
    (place / "notes" / "mine.txt").write_text("not to be lost", encoding="utf-8")
    refused = phichat("fetch", "whole", "notes")
    assert refused.code == 1
    assert "is not empty" in refused.err
    assert (place / "notes" / "mine.txt").exists()


def test_it_is_seen_whether_it_helped(phichat: Phichat) -> None:
    told = json.loads(phichat("eval", "whole", "--json").out.splitlines()[-1])
    assert told["tuned"]["loss"] < told["base"]["loss"]
    assert 0 <= told["tuned"]["probes_right"] <= 1
    page = Path(told["report"]).read_text(encoding="utf-8")
    assert "Did it help?" in page
    assert json.loads(Path(told["result"]).read_text(encoding="utf-8"))["probes"][0]["expect"] == ["Pelican"]


def test_what_was_trained_is_what_answers(phichat: Phichat) -> None:
    plan = phichat("deploy", "--dry-run")
    assert plan.out.split()[:3] == ["reused", "model", "whole"]
    done = phichat("deploy")
    assert (done.code, done.out) == (0, "whole\n"), done.err
    answer = phichat("chat", "-p", "Who are you?", "--temperature", "0", "--max-new-tokens", "5", "--json")
    reply = parse(answer.out.splitlines()[-1])
    assert isinstance(reply, Reply) and reply.completion_tokens > 0
    assert [line.split()[:2] for line in phichat("status").out.splitlines()[1:2]] == [["whole", "whole"]]


def test_the_next_training_is_estimated_from_the_last(phichat: Phichat) -> None:
    done = phichat("train", "--dry-run", "--name", "next", "--method", "lora")
    assert "as fast as 1 earlier run on this machine" in done.err
