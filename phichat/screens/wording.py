"""Numbers as people read them."""

from __future__ import annotations

import time

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """A number of bytes in decimal units, as file managers and download pages show it."""
    scale = _scale(count)
    return f"{_number(count / 1000**scale)} {_BYTE_UNITS[scale]}"


def amount(done: float, total: float | None, unit: str = "") -> str:
    """How much of a countable thing is done, both numbers in the same unit: `34 of 98 MB`."""
    if total is None:
        return size(done) if unit == "bytes" else f"{_number(done)} {unit}".rstrip()
    if unit == "bytes":
        scale = _scale(total)
        return f"{_number(done / 1000**scale)} of {_number(total / 1000**scale)} {_BYTE_UNITS[scale]}"
    return f"{_number(done)} of {_number(total)} {unit}".rstrip()


def plural(count: int, noun: str) -> str:
    """The count and its noun: `1 token`, `2 tokens`, `1,024 tokens`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def ago(seconds: float) -> str:
    """How long ago something was, in the largest unit that says something."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{plural(int(seconds // size), unit)} ago"
    return "just now"


def clock(at: float) -> str:
    """A moment on this machine's clock, with the day where it is another one: `18:30`, `28 Nov 18:30`."""
    when, now = time.localtime(at), time.localtime()
    same = when[:3] == now[:3]
    return time.strftime("%H:%M" if same else "%d %b %H:%M", when)


def _scale(count: float) -> int:
    scale = 0
    while count >= 1000 and scale < len(_BYTE_UNITS) - 1:
        count /= 1000
        scale += 1
    return scale


def _number(value: float) -> str:
    """At most one decimal, and none where it would say nothing."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")
