"""Curves in braille."""

from __future__ import annotations

import math

from phichat.screens.train.plot import Series, draw


def lines(*series: Series, width: int = 40, height: int = 10, steps: int | None = None) -> list[str]:
    return [line.plain for line in draw(series, width, height, steps)]


def test_a_falling_curve_goes_from_the_upper_left_to_the_lower_right() -> None:
    drawn = lines(Series("loss", [(0, 3.0), (100, 1.0)], "●"))
    assert len(drawn) == 10
    assert drawn[0].startswith("  3.00▕●") and drawn[7].startswith("  1.00▕")
    assert drawn[7].endswith("●") and len(drawn[7]) == 40
    assert all(any("⠁" <= mark <= "⣿" or mark == "●" for mark in line) for line in drawn[:8])
    assert drawn[8].split() == ["step", "0", "100"]
    assert drawn[9].strip() == "● loss"


def test_the_axis_goes_on_to_the_last_step() -> None:
    drawn = lines(Series("loss", [(0, 3.0), (50, 1.0)], "●"), steps=100)
    assert 20 < drawn[7].index("●") < 26
    assert drawn[8].split() == ["step", "0", "100"]


def test_what_is_no_number_is_left_out() -> None:
    drawn = lines(Series("loss", [(0, 3.0), (1, math.nan), (2, math.inf), (3, 1.0)], "●"))
    assert "".join(drawn[:8]).count("●") == 2
    assert drawn[0].startswith("  3.00")


def test_several_curves_have_their_own_signs() -> None:
    drawn = lines(Series("one", [(0, 3.0), (9, 2.0)], "●"), Series("two", [(0, 4.0), (9, 1.0)], "◆"))
    assert "".join(drawn[:8]).count("●") == "".join(drawn[:8]).count("◆") == 2
    assert drawn[9].split() == ["●", "one", "◆", "two"]


def test_one_point_a_level_line_and_no_room_are_drawn_as_far_as_they_go() -> None:
    assert "●" in "".join(lines(Series("one", [(5, 2.0)], "●")))
    level = lines(Series("level", [(0, 2.0), (9, 2.0)]))
    assert [line[:6].strip() for line in level if line[:6].strip()] == ["2.50", "1.93", "1.50"]
    assert lines(Series("none", [])) == [""]
    assert lines(Series("loss", [(0, 3.0), (9, 1.0)]), width=10, height=3) == [""]


def test_a_very_long_curve_is_thinned_out() -> None:
    drawn = lines(Series("loss", [(step, 1000 - step) for step in range(100_000)]))
    assert len(drawn) == 10
