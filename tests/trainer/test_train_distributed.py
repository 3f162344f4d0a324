"""Two processes train the same data to the same result as one, and speak with one voice."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from phichat.events import Status
from tests.conftest import ROOT
from tests.trainer import spread
from tests.trainer.conftest import Data
from tests.trainer.runs import Run, Runs, arguments


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, data: Data) -> Data:
    """29 rows and one held out: nothing divides by two."""
    folder = tmp_path_factory.mktemp("odd")
    train, held_out = data
    assert held_out is not None
    for name, path, rows in (("train", train, 29), ("eval", held_out, 1)):
        lines = path.read_text(encoding="utf-8").splitlines()[:rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "train.jsonl", folder / "eval.jsonl"


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("packing", [False, True], ids=["rows", "packed"])
def test_two_processes_do_what_one_does(
    packing: bool, odd: Data, runs: Runs, settings: dict[str, Any], tmp_path: Path
) -> None:
    settings |= {"batch_size": 4, "packing": packing, "probes": ["Why?"]}
    alone = runs.start("train", tmp_path / "one", arguments(tmp_path / "one", odd, settings))
    argv = arguments(tmp_path / "two", odd, settings | {"evaluate": True})
    start = torchrun if packing else forked  # the way that people take, once: it loads the libraries twice
    together, others = start(runs, tmp_path / "two", argv)
    assert alone.wait() == 0, alone.errors
    assert together.wait() == 0, together.errors
    assert all(run.wait() == 0 and not run.events for run in others)
    for name in ("loss", "eval_loss", "grad_norm", "token_accuracy"):
        assert together.metrics(name) == pytest.approx(alone.metrics(name), rel=1e-3, abs=1e-4)
    assert together.last.state == "succeeded"
    assert together.steps["evaluate"] == "done"
    facts = json.loads((tmp_path / "two" / "out" / "model" / "phichat.json").read_text(encoding="utf-8"))
    assert facts["training"]["processes"] == 2
    one, other = (
        load_file(tmp_path / name / "out" / "model" / "model.safetensors") for name in ("one", "two")
    )
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-3


@pytest.mark.timeout(300)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_spread_weights_learn_the_same_and_a_killed_run_goes_on(
    method: str, odd: Data, runs: Runs, settings: dict[str, Any], tmp_path: Path
) -> None:
    """As under an accelerate config for FSDP: no process has all of the weights."""
    settings |= {"method": method, "batch_size": 4, "save_steps": 2, "eval_steps": 2, "epochs": 1}
    settings |= {"probes": ["Why?"]}
    alone = runs.start("train", tmp_path / "one", arguments(tmp_path / "one", odd, settings))
    assert alone.wait() == 0, alone.errors
    argv = arguments(tmp_path / "two", odd, settings)
    together, others = forked(runs, tmp_path / "two", argv, "spread", spread.ENVIRONMENT)
    together.until(lambda run: 5 in run.metrics("loss"))
    for run in (*others, together):
        run.signal(signal.SIGKILL)
    together, others = forked(runs, tmp_path / "two", argv, "spread", spread.ENVIRONMENT)
    assert together.wait() == 0, together.errors
    assert all(run.wait() == 0 for run in others)
    for name in ("loss", "eval_loss", "grad_norm"):
        assert together.metrics(name) == pytest.approx(alone.metrics(name), rel=1e-4, abs=1e-5)
    started = [event.detail for event in together.events if isinstance(event, Status)]
    assert any(detail.startswith("Training 8 steps from step ") for detail in started)
    assert not together.samples, "nobody has the whole model to ask"
    one, other = (
        load_file(tmp_path / name / "out" / "model" / "model.safetensors") for name in ("one", "two")
    )
    assert one.keys() == other.keys()
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-4


def torchrun(runs: Runs, folder: Path, argv: list[str]) -> tuple[Run, list[Run]]:
    """Both processes as one command, whose output is that of both."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", free_port(), str(ROOT / "trainer" / "train.py"), *argv]
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
    return Run(process.pid, folder, lambda pid: process.wait()), []


def forked(
    runs: Runs, folder: Path, argv: list[str], script: str = "train", more: Mapping[str, str] | None = None
) -> tuple[Run, list[Run]]:
    """Each process by itself, told its place as torchrun tells it."""
    port = free_port()
    first, second = (
        runs.start(script, place, argv, environment=environment(rank, port) | dict(more or {}))
        for rank, place in enumerate((folder, folder / "second"))
    )
    return first, [second]


def environment(rank: int, port: str) -> dict[str, str]:
    place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return place | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
