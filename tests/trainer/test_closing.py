"""The last words of a training: how good the model was before, and which one is kept."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from record import Record


@pytest.mark.parametrize(
    ("losses", "keep_best", "told"),
    [
        ({}, True, "."),
        ({0: 5.0, 8: 4.5, 9: 4.0}, True, ". Eval loss: 5.000 before, 4.000 after."),
        (
            {0: 5.0, 8: 4.0, 9: 4.5},
            True,
            ". Eval loss: 5.000 before, 4.000 after (step 8, kept; 4.500 at the last).",
        ),
        ({0: 5.0, 8: 4.0, 9: 4.5}, False, ". Eval loss: 5.000 before, 4.500 after."),
        ({0: 3.0, 9: 4.0}, True, ". Eval loss: 3.000 before, 4.000 after."),
    ],
)
def test_the_last_words_name_the_model_that_is_kept(
    tmp_path: Path, losses: dict[int, float], keep_best: bool, told: str
) -> None:
    record = Record(tmp_path / "metrics.jsonl")
    for step, loss in losses.items():
        record.add(step, 9, {"eval_loss": loss})
        record.add(step, 9, {"loss": 1.0})
    run = SimpleNamespace(record=record, output=tmp_path, settings=SimpleNamespace(keep_best=keep_best))
    assert (
        importlib.import_module("train").closing_words(run) == f"The model is in {tmp_path / 'model'}{told}"
    )
