"""Pictures as SVG text: a line chart and a bar chart, drawn with nothing but this file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 36, 36
LABEL, VALUE = 226, 90
"""Room beside a bar, for what it is and how long."""


def lines(series: Mapping[str, Points], x_label: str) -> str:
    """One line for each series that has points, over common axes; what is not finite is left out."""
    drawn = {name: _finite(points) for name, points in series.items()}
    drawn = {name: points for name, points in drawn.items() if points}
    if not drawn:
        return ""
    xs = [x for points in drawn.values() for x, _ in points]
    ys = [y for points in drawn.values() for _, y in points]
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1)
    low, high = min(0.0, *ys), max(*ys, 1e-9)

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_axes(low, high)]
    for number, (name, points) in enumerate(drawn.items()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in (at(*p) for p in points))
        marks = dots if len(points) <= 60 else ""
        parts.append(f'<g class="s{number}"><polyline points="{path}"/>{marks}</g>')
        parts.append(_key(number, name))
    parts.append(_text(WIDTH - RIGHT, HEIGHT - 6, x_label, "end"))
    parts += [
        _text(at(x, low)[0], HEIGHT - BOTTOM + 16, f"{x:g}", anchor)
        for x, anchor in ((x_low, "start"), (x_high, "end"))
    ]
    return _svg("".join(parts), HEIGHT, f"{' and '.join(drawn)} by {x_label}")


def bars(rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """A group of bars from 0 to 1 for each row, one bar for each name."""
    parts, y = [], 4
    names: list[str] = []
    for label, values in rows:
        parts.append(_text(8, y + 11, label))
        for name, value in values.items():
            if name not in names:
                names.append(name)
            length = max(0.0, min(1.0, value)) * (WIDTH - LABEL - VALUE)
            bar = f'<rect x="{LABEL}" y="{y}" width="{max(length, 1):.1f}" height="14"/>'
            parts.append(f'<g class="s{names.index(name)}">{bar}</g>')
            parts.append(_text(LABEL + 6 + length, y + 11, f"{name} {value:.0%}"))
            y += 18
        y += 10
    return _svg("".join(parts), y, "shares") if rows else ""


def _axes(low: float, high: float) -> str:
    parts = []
    for step in range(5):
        value = low + (high - low) * step / 4
        y = HEIGHT - BOTTOM - step / 4 * (HEIGHT - TOP - BOTTOM)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:.3g}", "end"))
    return "".join(parts)


def _key(number: int, name: str) -> str:
    x = LEFT + 12 + number * 130
    return f'<g class="s{number}"><rect x="{x}" y="4" width="10" height="10"/></g>' + _text(x + 16, 13, name)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(content: str, height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{content}</svg>'
    )


def _finite(points: Points) -> Points:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
