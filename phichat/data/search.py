"""The rows in which a text stands, found by reading them once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from phichat.data.rows import Rows

BLOCK = 256
"""Rows between two words about how far the search is."""


def search(rows: Rows, numbers: Sequence[int], text: str) -> Iterator[tuple[int, list[int]]]:
    """Those of these rows that have the text, upper or lower case alike.

    Gives block after block how many rows were looked at so far, and which of the block have it.
    """
    wanted = text.lower()
    written = msgspec.json.encode(wanted)[1:-1].decode()
    for start in range(0, len(numbers), BLOCK):
        block = numbers[start : start + BLOCK]
        yield start + len(block), [row for row in block if _has(rows, row, wanted, written)]


def _has(rows: Rows, number: int, wanted: str, written: str) -> bool:
    # Most rows do not have it, and are not worth to be understood.
    if written not in rows.line(number).decode(errors="replace").lower():
        return False
    row = rows[number]
    return any(wanted in text.lower() for text in (row.raw, *(turn.content for turn in row.turns)))
