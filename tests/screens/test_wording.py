"""Numbers as people read them."""

import re
import time

import pytest

from phichat.screens import wording


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (98_000_000, "98 MB"), (7_642_181_896, "7.6 GB")],
)
def test_a_size_has_the_unit_that_fits(count: int, text: str) -> None:
    assert wording.size(count) == text


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        (34e6, 98e6, "bytes", "34 of 98 MB"),
        (0, 98e6, "bytes", "0 of 98 MB"),
        (450e6, 7.6e9, "bytes", "0.5 of 7.6 GB"),
        (3e6, None, "bytes", "3 MB"),
        (3, 12, "tensors", "3 of 12 tensors"),
        (1200, None, "rows", "1,200 rows"),
        (1, 2, "", "1 of 2"),
    ],
)
def test_an_amount_has_one_unit_for_both_numbers(
    done: float, total: float | None, unit: str, text: str
) -> None:
    assert wording.amount(done, total, unit) == text


def test_one_is_not_many() -> None:
    assert wording.plural(1, "token") == "1 token"
    assert wording.plural(1024, "token") == "1,024 tokens"


def test_a_moment_has_a_day_only_where_that_is_another_one() -> None:
    now = time.time()
    assert re.fullmatch(r"\d\d:\d\d", wording.clock(now))
    assert re.fullmatch(r"1[3-7] Jan \d\d:\d\d", wording.clock(1_768_500_000))
