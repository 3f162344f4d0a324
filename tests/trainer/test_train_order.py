"""How rows become steps: in which order, how many at once, and filled up to even shares."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from datasets import Dataset  # type: ignore[import-untyped]

from masking import IGNORED
from settings import TrainSettings
from sft import RowOrder, _Epochs, batches, filled, halved


def settings(batch_size: int, gradient_accumulation: int) -> TrainSettings:
    return TrainSettings(base_model="x", batch_size=batch_size, gradient_accumulation=gradient_accumulation)


def test_every_epoch_has_an_order_of_its_own_and_every_row_once() -> None:
    order = RowOrder(10, 0, seed=3)
    first = list(order)
    assert first == list(order)
    assert sorted(first) == list(range(10))
    _Epochs(order).on_epoch_begin(None, SimpleNamespace(epoch=1.4), None)
    assert sorted(order) == sorted(first)
    assert list(order) != first
    assert list(order) != list(RowOrder(10, 0, seed=4))


def test_the_filling_comes_last() -> None:
    order = RowOrder(5, 3, seed=0)
    assert len(order) == 8
    assert list(order)[5:] == [5, 6, 7]


@pytest.mark.parametrize("packed", [False, True])
def test_the_filling_has_nothing_to_learn(packed: bool) -> None:
    row = {"input_ids": [1, 2, 3], "labels": [IGNORED, 2, 3]} | ({"seq_lengths": [3]} if packed else {})
    rows = filled(Dataset.from_list([row]), 2)
    assert len(rows) == 3
    assert rows[0] == row
    for empty in (rows[1], rows[2]):
        assert set(empty["labels"]) == {IGNORED}
        assert not packed or sum(empty["seq_lengths"]) == len(empty["input_ids"])
    assert filled(rows, 0) is rows


@pytest.mark.parametrize(
    ("rows", "accumulation", "processes", "expected"),
    [
        (8, 1, 1, (8, 1)),
        (8, 1, 2, (4, 1)),
        (8, 2, 2, (8, 1)),
        (1, 8, 4, (1, 2)),
        (4, 3, 2, (3, 2)),
        (6, 1, 4, (2, 1)),  # rounded up: no process may stand idle
    ],
)
def test_a_step_has_as_many_rows_on_any_number_of_processes(
    rows: int, accumulation: int, processes: int, expected: tuple[int, int]
) -> None:
    size, steps = batches(settings(rows, accumulation), processes)
    assert (size, steps) == expected
    assert size <= rows


@pytest.mark.parametrize(
    ("rows", "accumulation", "expected"), [(8, 1, (4, 2)), (4, 3, (2, 6)), (3, 1, (1, 3)), (6, 3, (3, 6))]
)
def test_a_halved_batch_makes_the_same_step(rows: int, accumulation: int, expected: tuple[int, int]) -> None:
    less = halved(settings(rows, accumulation))
    assert (less.batch_size, less.gradient_accumulation) == expected
