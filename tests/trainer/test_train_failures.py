"""What goes wrong ends in one clear sentence, or is done without."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

import checkpoints
from failures import TrainError, disk_full, out_of_memory, sentence
from tests import tiny
from tests.trainer.conftest import Data
from tests.trainer.runs import Runs, arguments

Settings = dict[str, Any]


def test_a_bad_row_is_named(runs: Runs, settings: Settings, data: Data, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    good = data[0].read_text(encoding="utf-8").splitlines()[0]
    rows.write_text(f'{good}\n{{"messages": [{{"role": "user"}}]}}\n', encoding="utf-8")
    run = runs.start("train", tmp_path, arguments(tmp_path, (rows, None), settings))
    assert run.wait() == 1
    assert run.last.state == "failed"
    assert run.last.detail == 'rows.jsonl, line 2: "messages[0].content" must be a text.'


def test_a_full_disk_is_said_and_costs_no_checkpoint(
    runs: Runs, settings: Settings, data: Data, tmp_path: Path
) -> None:
    """The second checkpoint does not fit; when there is room again, the run goes on from the first."""
    argv = arguments(tmp_path, data, settings)
    stored = len((Path(settings["base_model"]) / "model.safetensors").read_bytes())
    run = runs.start("train", tmp_path, argv, largest_file=stored // 2)
    assert run.wait() == 1
    assert run.last.state == "failed"
    assert run.last.detail.startswith("The disk is full: ")
    assert run.last.detail.endswith("Make room, then start the same run again.")
    left = checkpoints.found(tmp_path / "out" / "checkpoints")
    assert all(checkpoints.complete(folder) for folder in left), "what is half written fills the disk"
    (tmp_path / "stdout").unlink()
    again = runs.start("train", tmp_path, argv)
    assert again.wait() == 0, again.errors
    assert (tmp_path / "out" / "model" / "config.json").exists()


def test_a_loss_that_is_no_number_ends_the_run(
    runs: Runs, settings: Settings, data: Data, tmp_path: Path
) -> None:
    settings |= {"learning_rate": 1e30, "max_grad_norm": 0, "warmup": 0}
    settings |= {"save_steps": 1, "eval_steps": 1, "log_steps": 100}  # it is looked at before it is kept
    run = runs.start("train", tmp_path, arguments(tmp_path, data, settings))
    assert run.wait() == 1
    assert run.last.state == "failed"
    losses = run.metrics("loss")
    broken = max(losses)
    assert losses[broken] != losses[broken]
    where = f"The loss is no number any more at step {broken}."
    assert run.last.detail == f"{where} Lower learning_rate (it is 1e+30), and start a new run."
    kept = [path.name for path in (tmp_path / "out" / "checkpoints").glob("checkpoint-*")]
    assert f"checkpoint-{broken}" not in kept


def test_when_memory_runs_out_the_batch_is_halved_once(
    runs: Runs, data: Data, tmp_path: Path, settings: Settings
) -> None:
    """A layer so wide that the memory suffices for 16 rows, but not for 32."""
    base = tiny.build(tmp_path / "wide", intermediate_size=8_192)
    settings |= {"base_model": str(base), "method": "lora", "batch_size": 32, "max_steps": 1}
    run = runs.start("train", tmp_path, arguments(tmp_path, (data[0], None), settings), memory=1_050_000_000)
    assert run.wait() == 0, run.errors
    assert run.logs == ["Memory ran out. Going on with batch_size 16 and gradient_accumulation 2."]
    facts = json.loads((tmp_path / "out" / "model" / "phichat.json").read_text(encoding="utf-8"))
    assert facts["training"]["rows_per_step"] == 32


@pytest.mark.parametrize("uri", ["sqlite:////proc/nowhere/mlflow.db", "http://127.0.0.1:9", "nonsense://x"])
def test_no_failure_of_mlflow_costs_the_run(
    uri: str, runs: Runs, settings: Settings, data: Data, tmp_path: Path
) -> None:
    settings |= {"mlflow_tracking_uri": uri, "max_steps": 2}
    environment = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    run = runs.start(
        "train", tmp_path, arguments(tmp_path, (data[0], None), settings), environment=environment
    )
    assert run.wait() == 0, run.errors
    (line,) = run.logs
    assert line.startswith(f"MLflow at {uri} failed and is left out from here on: ")
    assert list(run.metrics("loss")) == [1, 2]


def test_a_folder_of_another_run_is_left_alone(
    runs: Runs, settings: Settings, data: Data, tmp_path: Path
) -> None:
    settings |= {"max_steps": 1}
    first = runs.start("train", tmp_path / "a", arguments(tmp_path / "a", (data[0], None), settings))
    assert first.wait() == 0, first.errors
    held_out = data[1]
    assert held_out is not None
    other = arguments(tmp_path / "a", (held_out, None), settings | {"learning_rate": 1e-4})
    run = runs.start("train", tmp_path / "b", other)
    assert run.wait() == 1
    assert run.last.detail == (
        f"{tmp_path}/a/out holds a run with another data, learning_rate. "
        "Choose another --output-dir, or remove that folder."
    )


def test_layers_that_the_model_has_not_end_the_run(
    runs: Runs, settings: Settings, data: Data, tmp_path: Path
) -> None:
    settings |= {"method": "lora", "lora_targets": ["q_proj", "o_proj"]}
    run = runs.start("train", tmp_path, arguments(tmp_path, data, settings))
    assert run.wait() == 1
    assert run.last.detail.startswith(
        '"lora_targets" names q_proj, but this model has down_proj, gate_up_proj'
    )


def test_rows_that_are_cut_off_are_counted(
    runs: Runs, settings: Settings, data: Data, tmp_path: Path
) -> None:
    settings |= {"max_length": 40, "max_steps": 1}
    run = runs.start("train", tmp_path, arguments(tmp_path, (data[0], None), settings))
    assert run.wait() == 0, run.errors
    (line,) = run.logs
    assert line == "train.jsonl: 32 rows are longer than max_length (40) and were cut off."
    none = settings | {"max_length": 8}
    again = runs.start("train", tmp_path / "b", arguments(tmp_path / "b", (data[0], None), none))
    assert again.wait() == 1
    assert again.last.detail.endswith("no row has anything to learn within max_length (8). Raise it.")


def test_a_reader_that_goes_away_does_not_disturb(
    runs: Runs, settings: Settings, data: Data, tmp_path: Path
) -> None:
    """As when a log file cannot grow any more."""
    run = runs.start(
        "train",
        tmp_path,
        arguments(tmp_path, (data[0], None), settings | {"max_steps": 2}),
        stdout="/dev/full",
    )
    assert run.wait() == 0, run.errors
    assert (tmp_path / "out" / "model" / "config.json").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TrainError("It is so."), "It is so."),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full: "),
        (
            RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
            "The disk is full: ",
        ),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 267008 vs 266896"),
            "The disk is full: ",
        ),
        (ValueError("first\nsecond"), "ValueError: first"),
        (KeyError(), "KeyError: KeyError"),
        (MemoryError(), "Memory ran out."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), "Memory ran out."),
    ],
)
def test_every_error_is_one_sentence(error: Exception, words: str, tmp_path: Path) -> None:
    assert sentence(error, tmp_path / "not" / "there").startswith(words)


def test_other_errors_are_neither() -> None:
    assert not disk_full(OSError(errno.EACCES, "Permission denied"))
    assert not out_of_memory(ValueError("allocate memory"))
