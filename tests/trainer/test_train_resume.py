"""A run that was killed goes on from its last checkpoint to the same numbers, and tells nothing twice."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import checkpoints
from phichat.events import Metric, Status
from tests.trainer.conftest import Data
from tests.trainer.runs import Run, Runs, arguments

Start = Callable[..., Run]


def said_step(step: int) -> Callable[[Run], bool]:
    return lambda run: any(isinstance(event, Metric) and event.step >= step for event in run.events)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, runs: Runs, tiny_phi3: Path, data: Data) -> Run:
    """The run that nobody disturbs: three epochs of four steps, with dropout and packing."""
    folder = tmp_path_factory.mktemp("whole")
    run = runs.start("train", folder, arguments(folder, data, slow(tiny_phi3)))
    assert run.wait() == 0, run.errors
    return run


def slow(base: Path) -> dict[str, Any]:
    """What takes random numbers, in float32."""
    return {
        "base_model": str(base), "method": "lora", "lora_dropout": 0.2, "epochs": 3, "learning_rate": 1e-2,
        "batch_size": 1, "gradient_accumulation": 2, "packing": True, "max_length": 256, "precision": "fp32",
        "save_steps": 2, "eval_steps": 2, "evaluate": False, "probes": ["Why?"], "answer_tokens": 2,
    }  # fmt: skip


@pytest.mark.parametrize("kill_at", [1, 4, 9])
def test_a_killed_run_goes_on_to_the_same_losses(
    kill_at: int, whole: Run, runs: Runs, tiny_phi3: Path, data: Data, tmp_path: Path
) -> None:
    argv = arguments(tmp_path, data, slow(tiny_phi3))
    first = runs.start("train", tmp_path, argv)
    first.until(said_step(kill_at))
    assert first.signal(signal.SIGKILL) == -signal.SIGKILL
    last = checkpoints.last(tmp_path / "out" / "checkpoints")
    again = runs.start("train", tmp_path, argv)  # its output goes on in the same file
    assert again.wait() == 0, again.errors
    for name in ("loss", "eval_loss", "grad_norm", "learning_rate"):
        assert again.metrics(name) == pytest.approx(whole.metrics(name), abs=1e-5, rel=1e-5)
    assert [sample.step for sample in again.samples] == [sample.step for sample in whole.samples]
    resumed = [
        event.detail for event in again.events if isinstance(event, Status) and event.state == "running"
    ]
    expected = f"Training 15 steps from step {checkpoints.step(last)}." if last else "Training 15 steps."
    assert resumed[-1] == expected


def test_a_checkpoint_that_was_not_finished_is_passed_over(
    whole: Run, runs: Runs, tiny_phi3: Path, data: Data, tmp_path: Path
) -> None:
    argv = arguments(tmp_path, data, slow(tiny_phi3))
    first = runs.start("train", tmp_path, argv)
    first.until(said_step(7))
    first.signal(signal.SIGKILL)
    directory = tmp_path / "out" / "checkpoints"
    newest = checkpoints.last(directory)
    assert newest is not None
    broken = directory / "checkpoint-14"
    shutil.copytree(newest, broken)
    (broken / "optimizer.pt").write_bytes(b"")
    again = runs.start("train", tmp_path, argv)
    assert again.wait() == 0, again.errors
    assert again.metrics("loss") == pytest.approx(whole.metrics("loss"), abs=1e-5)


def test_who_is_asked_to_end_keeps_what_was_learned(
    whole: Run, runs: Runs, tiny_phi3: Path, data: Data, tmp_path: Path
) -> None:
    argv = arguments(tmp_path, data, slow(tiny_phi3))
    first = runs.start("train", tmp_path, argv)
    first.until(said_step(5))
    assert first.signal(signal.SIGTERM) == 143
    stopped = first.last
    assert stopped.state == "cancelled"
    last = checkpoints.last(tmp_path / "out" / "checkpoints")
    assert last is not None
    assert stopped.detail == f"Stopped after step {checkpoints.step(last)}; start it again to go on."
    assert not (tmp_path / "out" / "model").exists()
    (tmp_path / "stdout").rename(tmp_path / "before")
    again = runs.start("train", tmp_path, argv)
    assert again.wait() == 0, again.errors
    assert min(again.metrics("loss")) == checkpoints.step(last) + 1
    later = {step: loss for step, loss in whole.metrics("loss").items() if step > checkpoints.step(last)}
    assert again.metrics("loss") == pytest.approx(later, abs=1e-5)


def test_who_is_asked_while_it_prepares_ends_at_once(
    runs: Runs, tiny_phi3: Path, data: Data, tmp_path: Path
) -> None:
    run = runs.start("train", tmp_path, arguments(tmp_path, data, slow(tiny_phi3)))
    run.until(lambda run: run.events)
    assert run.signal(signal.SIGINT) == 143
    assert run.last.state == "cancelled"


def test_the_best_checkpoint_is_kept_and_the_run_stops_early(
    runs: Runs, tiny_phi3: Path, data: Data, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """Held-out rows that contradict what is learned: their loss falls, then rises."""
    train, _ = data
    held_out = tmp_path / "other.jsonl"
    row = {"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Ships. " * 3}]}
    held_out.write_text(json.dumps(row) + "\n", encoding="utf-8")
    settings |= {"epochs": 40, "learning_rate": 1e-2, "early_stopping_patience": 2}
    run = runs.start("train", tmp_path, arguments(tmp_path, (train, held_out), settings))
    assert run.wait() == 0, run.errors
    losses = run.metrics("eval_loss")
    best = min(losses, key=lambda step: losses[step])
    assert 0 < best < max(losses) < 160
    assert max(losses) == best + 2 * 4
    assert f"{losses[best]:.3f} after" in run.last.detail
    facts = json.loads((tmp_path / "out" / "model" / "phichat.json").read_text(encoding="utf-8"))
    assert facts["training"]["best_step"] == best
