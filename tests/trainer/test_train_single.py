"""A device without double precision evaluates held-out rows too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.trainer.conftest import Data
from tests.trainer.runs import Runs, arguments


def test_held_out_rows_are_evaluated_on_a_device_without_double_precision(
    data: Data, runs: Runs, settings: dict[str, Any], tmp_path: Path
) -> None:
    run = runs.start("single", tmp_path, arguments(tmp_path, data, settings | {"max_steps": 1, "probes": []}))
    assert run.wait() == 0, run.errors
    assert {0, 1} <= set(run.metrics("eval_loss"))
