"""Every row of a source in a few bytes: where it came from, where it went and what was noticed."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

TRAIN, EVAL, BAD, REMOVED = 0, 1, 2, 3
"""Where a row went."""
FILES = ("train.jsonl", "eval.jsonl", "bad.jsonl", "removed.jsonl")
"""The file of each side; a row's offset is its place there."""

DUPLICATE, NEAR_DUPLICATE, LEAKED, PERSONAL, TRUNCATED = 1, 2, 4, 8, 16
"""What was noticed about a row, as bits."""

_COLUMNS: tuple[tuple[str, Literal["Q", "I", "H", "B"]], ...] = (
    ("offset", "Q"),
    ("line", "I"),
    ("part", "H"),
    ("side", "B"),
    ("flags", "B"),
)
_ROW_BYTES = sum(array(code).itemsize for _, code in _COLUMNS)


class RowTable:
    """The table while it is made; row numbers count all rows of the source from 0."""

    def __init__(self) -> None:
        self.offset = array("Q")
        """Bytes from the start of the file that the row went to."""
        self.line = array("I")
        """Its line or row in the source, from 1."""
        self.part = array("H")
        """The number of its file in the source."""
        self.side = array("B")
        self.flags = array("B")

    def __len__(self) -> int:
        return len(self.side)

    def append(self, part: int, line: int) -> int:
        """Add a row, in training for now; returns its number."""
        self.offset.append(0)
        self.line.append(line)
        self.part.append(part)
        self.side.append(TRAIN)
        self.flags.append(0)
        return len(self.side) - 1

    def on(self, *sides: int) -> Iterator[int]:
        """The numbers of the rows on these sides."""
        return (row for row, side in enumerate(self.side) if side in sides)

    def flagged(self, flag: int) -> int:
        """How many rows have a flag."""
        return sum(1 for flags in self.flags if flags & flag)

    def save(self, path: Path) -> None:
        """Write the table, one column after the other."""
        with path.open("wb") as file:
            for name, _ in _COLUMNS:
                getattr(self, name).tofile(file)


class SavedTable:
    """A table on disk: whatever its length, opening it takes no time and no memory."""

    def __init__(self, path: Path) -> None:
        size = path.stat().st_size
        self._length = size // _ROW_BYTES
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            whole: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        self._map = whole
        self._columns: dict[str, memoryview[int]] = {}
        start = 0
        for name, code in _COLUMNS:
            end = start + self._length * array(code).itemsize
            self._columns[name] = memoryview(whole)[start:end].cast(code)
            start = end

    def __len__(self) -> int:
        return self._length

    def row(self, number: int) -> dict[str, int]:
        """The columns of one row by name."""
        return {name: column[number] for name, column in self._columns.items()}

    def column(self, name: Literal["offset", "line", "part", "side", "flags"]) -> memoryview[int]:
        """One column, to look at every row of it."""
        return self._columns[name]

    def close(self) -> None:
        """Let go of the file."""
        for column in self._columns.values():
            column.release()
        if self._length:
            self._map.close()
