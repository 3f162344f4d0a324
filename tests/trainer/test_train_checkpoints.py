"""Checkpoints: only what was written to the end counts."""

from __future__ import annotations

from pathlib import Path

import pytest

import checkpoints
from record import Record


def checkpoint(directory: Path, step: int, *, sealed: bool = True) -> Path:
    folder = directory / f"checkpoint-{step}"
    (folder / "inner").mkdir(parents=True)
    (folder / "weights").write_bytes(b"12345")
    (folder / "inner" / "state").write_bytes(b"1")
    if sealed:
        checkpoints.mark(folder)
    return folder


def test_the_newest_complete_one_is_taken(tmp_path: Path) -> None:
    assert checkpoints.last(tmp_path) is None
    checkpoint(tmp_path, 9)
    tenth = checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 11, sealed=False)
    assert checkpoints.last(tmp_path) == tenth


@pytest.mark.parametrize("damage", ["weights", "inner/state", checkpoints.MARKER])
def test_one_in_which_a_file_is_missing_or_cut_off_is_none(tmp_path: Path, damage: str) -> None:
    folder = checkpoint(tmp_path, 1)
    assert checkpoints.complete(folder)
    content = (folder / damage).read_bytes()
    (folder / damage).write_bytes(content[:-2])
    assert not checkpoints.complete(folder)
    (folder / damage).unlink()
    assert not checkpoints.complete(folder)


def test_what_is_incomplete_is_removed(tmp_path: Path) -> None:
    whole, broken = checkpoint(tmp_path, 1), checkpoint(tmp_path, 2, sealed=False)
    checkpoints.remove_incomplete(tmp_path)
    assert whole.exists()
    assert not broken.exists()


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    best, old, newest = (checkpoint(tmp_path, step) for step in (5, 10, 15))
    checkpoints.prune(tmp_path, best)
    assert checkpoints.found(tmp_path) == [best, newest]
    assert not old.exists()
    checkpoints.prune(tmp_path, None)
    assert checkpoints.found(tmp_path) == [newest]


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-best").mkdir()
    checkpoints.remove_incomplete(tmp_path)
    assert (tmp_path / "checkpoint-best").exists()


def test_metrics_are_kept_once(tmp_path: Path) -> None:
    record = Record(tmp_path / "metrics.jsonl")
    assert record.add(1, 3, {"loss": 2.0, "epoch": 0.5, "seconds": 1.0})
    assert record.add(1, 3, {"eval_loss": 2.5, "epoch": 0.5, "seconds": 1.5})
    again = Record(tmp_path / "metrics.jsonl")
    assert not again.add(1, 3, {"loss": 2.0, "epoch": 0.5, "seconds": 9.0})
    assert again.add(2, 3, {"loss": float("nan"), "epoch": 1.0, "seconds": 2.0})
    assert again.seconds == 2.0
    assert [line["step"] for line in Record(tmp_path / "metrics.jsonl").lines()] == [1, 1, 2]
    assert again.values("eval_loss") == [2.5]


def test_a_line_that_a_crash_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    Record(path).add(1, 3, {"loss": 2.0})
    with path.open("a", encoding="utf-8") as file:
        file.write('{"step": 2, "val')
    record = Record(path)
    assert record.add(2, 3, {"loss": 1.0})
    assert record.values("loss") == [2.0, 1.0]
