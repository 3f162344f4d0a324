"""Prepared rows, one at a time and in the order of their source: any of 200,000 is there at once."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Literal

import msgspec

from phichat.data.conversation import Turn, decode
from phichat.data.manifest import Prepared
from phichat.data.problems import Problem
from phichat.data.table import BAD, DUPLICATE, FILES, LEAKED, NEAR_DUPLICATE, PERSONAL, TRUNCATED, SavedTable
from phichat.data.writing import INDEX_FILE

Side = Literal["train", "eval", "bad", "removed"]
SIDES: tuple[Side, ...] = ("train", "eval", "bad", "removed")
NOTED = {
    DUPLICATE: "duplicate",
    NEAR_DUPLICATE: "near duplicate",
    LEAKED: "leaked",
    PERSONAL: "personal data",
    TRUNCATED: "truncated",
}


@dataclass(frozen=True)
class Row:
    """One row of the source, wherever it went."""

    number: int
    """Position in the source, counted from 0: the `row` of a `Problem`."""
    file: str
    line: int
    side: Side
    noted: tuple[str, ...]
    """What the health checks noticed about it."""
    turns: tuple[Turn, ...]
    """Empty for a bad row."""
    raw: str = ""
    """What stands in the source, as JSON or as text, for a bad row."""


class Rows:
    """The rows of a prepared dataset as a sequence; opening it reads nothing."""

    def __init__(self, prepared: Prepared) -> None:
        self._folder = prepared.folder
        self._names = [part.name for part in prepared.manifest.parts]
        self._table = SavedTable(prepared.folder / INDEX_FILE)
        self._files: dict[int, IO[bytes]] = {}

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, number: int) -> Row:
        if not 0 <= number < len(self):
            raise IndexError(number)
        at = self._table.row(number)
        line = self._line(at["side"], at["offset"])
        bad = at["side"] == BAD
        return Row(
            number,
            self._names[at["part"]],
            at["line"],
            SIDES[at["side"]],
            tuple(text for flag, text in NOTED.items() if at["flags"] & flag),
            () if bad else tuple(decode(line).messages),
            _raw(line) if bad else "",
        )

    def __iter__(self) -> Iterator[Row]:
        return (self[number] for number in range(len(self)))

    def side(self, number: int) -> Side:
        """Where a row went, without reading it."""
        return SIDES[self._table.row(number)["side"]]

    def line(self, number: int) -> bytes:
        """A row as it was written down, which is quicker than to understand it."""
        at = self._table.row(number)
        return self._line(at["side"], at["offset"])

    def of(self, kind: Side | Literal["noted"]) -> array[int]:
        """The numbers of the rows that are on a side, or that a check noticed; without reading them."""
        if kind == "noted":
            return array("Q", (row for row, flags in enumerate(self._table.column("flags")) if flags))
        wanted = SIDES.index(kind)
        return array("Q", (row for row, side in enumerate(self._table.column("side")) if side == wanted))

    def close(self) -> None:
        """Let go of the files."""
        self._table.close()
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _line(self, side: int, offset: int) -> bytes:
        if side not in self._files:
            self._files[side] = (self._folder / FILES[side]).open("rb")
        self._files[side].seek(offset)
        return self._files[side].readline()


class Problems:
    """The problems of a source in its order as a sequence; opening it looks for the line ends only.

    Several threads may read them: a table is drawn while what is wrong with one row is looked up.
    """

    def __init__(self, file: Path) -> None:
        self._bounds = array("Q", [0])
        with file.open("rb") as lines:
            for line in lines:
                self._bounds.append(self._bounds[-1] + len(line))
            # An empty file cannot be mapped.
            self._text = mmap(lines.fileno(), 0, access=ACCESS_READ) if len(self) else None

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, number: int) -> Problem:
        if self._text is None or not 0 <= number < len(self):
            raise IndexError(number)
        return Problem.model_validate_json(self._text[self._bounds[number] : self._bounds[number + 1]])

    def of(self, row: int) -> Iterator[Problem]:
        """What is wrong with one row."""
        first = bisect_left(range(len(self)), row, key=lambda number: self[number].row)
        for number in range(first, len(self)):
            problem = self[number]
            if problem.row != row:
                return
            yield problem

    def close(self) -> None:
        """Let go of the file."""
        if self._text is not None:
            self._text.close()


def _raw(line: bytes) -> str:
    """The row itself, from a line about a bad one; shown as it is where it is not even JSON."""
    row = msgspec.json.decode(line, type=dict[str, msgspec.Raw])["row"]
    try:
        value = msgspec.json.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return bytes(row).decode(errors="replace")
    return value if isinstance(value, str) else msgspec.json.format(bytes(row)).decode()


def problems(file: Path) -> Iterator[Problem]:
    """The problems of a source in its order, read one at a time; none if there is no such file."""
    if file.is_file():
        with file.open("rb") as lines:
            for line in lines:
                yield Problem.model_validate_json(line)
