"""Curves in braille: four rows and two columns of dots in every cell, drawn in a millisecond."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from textual.content import Content
from textual.widget import Widget

from phichat.workflow.course import Point, finite

LABELS = 7
"""Columns for the numbers of the vertical axis."""
BLANK = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a braille character, by row and column."""

Cell = tuple[str, str]
"""A character and its colour."""


@dataclass(frozen=True)
class Series:
    """One curve: its points, a sign that marks each of them, and a colour."""

    label: str
    points: Sequence[Point]
    sign: str = ""
    """Empty: only the line."""
    colour: str = "$text-primary"


class Plot(Widget):
    """Curves over the steps of a training, with their legend."""

    DEFAULT_CSS = "Plot { height: 1fr; min-height: 4; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._series: list[Series] = []
        self._steps: int | None = None

    def show(self, series: Sequence[Series], steps: int | None = None) -> None:
        """Show these; `steps` is how far the horizontal axis goes at least."""
        self._series = list(series)
        self._steps = steps
        self.refresh()

    def render(self) -> Content:
        """The curves as text."""
        return Content("\n").join(draw(self._series, self.size.width, self.size.height, self._steps))


def draw(series: Sequence[Series], width: int, height: int, steps: int | None = None) -> list[Content]:
    """The lines of a picture: curves, the axis below them, and the legend."""
    series = [each for each in series if finite(list(each.points))]
    columns, rows = width - LABELS, height - 2
    if not series or columns < 8 or rows < 2:
        return [Content("")]
    grid = Grid(columns, rows, series, steps)
    for each in series:
        grid.line(each)
    for each in series:
        grid.marks(each)
    return [*grid.lines(), _axis(grid, columns), _legend(series)]


class Grid:
    """Cells of dots, and the scale of both axes."""

    def __init__(self, columns: int, rows: int, series: Sequence[Series], steps: int | None) -> None:
        every = [point for each in series for point in finite(list(each.points))]
        self.first = min(step for step, _ in every)
        self.last = max(steps or 0, *(step for step, _ in every), self.first + 1)
        self.low, self.high = min(value for _, value in every), max(value for _, value in every)
        if self.high == self.low:
            self.low, self.high = self.low - 0.5, self.high + 0.5
        self._columns, self._rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._colours = [[""] * columns for _ in range(rows)]
        self._signs = [[""] * columns for _ in range(rows)]

    def line(self, series: Series) -> None:
        """Draw a curve through its points."""
        points = finite(list(series.points))
        # Of a very long curve every few points: more than there are dots cannot be seen.
        places = [self._place(point) for point in points[:: 1 + len(points) // (8 * self._columns)]]
        for place in places[:1]:
            self._dot(*place, series.colour)
        for (x, y), (to_x, to_y) in pairwise(places):
            count = max(abs(to_x - x), abs(to_y - y), 1)
            for at in range(count + 1):
                self._dot(
                    round(x + (to_x - x) * at / count), round(y + (to_y - y) * at / count), series.colour
                )

    def marks(self, series: Series) -> None:
        """Put the sign of a curve on its points."""
        if series.sign:
            for point in finite(list(series.points)):
                x, y = self._place(point)
                self._signs[y // 4][x // 2] = series.sign
                self._colours[y // 4][x // 2] = series.colour

    def lines(self) -> Iterator[Content]:
        """The rows from above, each with what the vertical axis says there."""
        for row in range(self._rows):
            label = _number(self._value(row)) if row in (0, self._rows // 2, self._rows - 1) else ""
            cells = [self._cell(row, column) for column in range(self._columns)]
            runs = [
                ("".join(character for character, _ in run), colour)
                for colour, run in groupby(cells, key=lambda cell: cell[1])
            ]
            yield Content.assemble((f"{label:>{LABELS - 1}}▕", "$text-secondary"), *runs)

    def _cell(self, row: int, column: int) -> Cell:
        sign, dots = self._signs[row][column], self._dots[row][column]
        return sign or (chr(BLANK | dots) if dots else " "), self._colours[row][column] or "$foreground"

    def _value(self, row: int) -> float:
        return self.high - (self.high - self.low) * row / (self._rows - 1)

    def _place(self, point: Point) -> tuple[int, int]:
        step, value = point
        x = (step - self.first) / (self.last - self.first) * (self._columns * 2 - 1)
        y = (self.high - value) / (self.high - self.low) * (self._rows * 4 - 1)
        return round(x), round(y)

    def _dot(self, x: int, y: int, colour: str) -> None:
        self._dots[y // 4][x // 2] |= DOTS[y % 4][x % 2]
        self._colours[y // 4][x // 2] = colour


def _axis(grid: Grid, columns: int) -> Content:
    first, last = f"step {grid.first}", f"{grid.last}"
    gap = max(1, columns - len(first) - len(last))
    return Content.styled(f"{'':{LABELS}}{first}{'':{gap}}{last}", "$text-secondary")


def _legend(series: Sequence[Series]) -> Content:
    parts: list[tuple[str, str] | str] = [f"{'':{LABELS}}"]
    for each in series:
        parts += [(each.sign or "⠒⠒", each.colour), f" {each.label}   "]
    return Content.assemble(*parts)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= 1000 else f"{value:.2f}"
