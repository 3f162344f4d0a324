"""What is wrong with a row, and where: one sentence each, naming file, line and field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from phichat.backends.base import Value
from phichat.errors import DataError

Kind = Literal[
    "json",
    "encoding",
    "format",
    "field",
    "role",
    "order",
    "empty",
    "no_answer",
    "tools",
    "special_token",
    "too_long",
]

TITLES: Mapping[Kind, str] = {
    "json": "not JSON",
    "encoding": "not UTF-8",
    "format": "mixed formats",
    "field": "missing or wrong field",
    "role": "unknown role",
    "order": "wrong order of roles",
    "empty": "empty text",
    "no_answer": "no answer to learn from",
    "tools": "tool calls",
    "special_token": "special token in a text",
    "too_long": "longer than the model's context",
}
"""Each kind as people read it in the counts."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong inside a row."""

    kind: Kind
    field: str
    """Empty when it is the row itself."""
    message: str
    text: str = ""
    """What stands there, if it could not even be read as a row."""


class Problem(Value):
    """A fault and its place in the source."""

    row: int
    """Position among all rows of the source, counted from 0."""
    file: str
    line: int
    unit: Literal["line", "row"] = "line"
    """What `line` counts, from 1: lines of a text file, or rows of an array or a table."""
    kind: Kind
    field: str = ""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}, {self.unit} {self.line}"
        return f"{place}, {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class BadRowsError(DataError):
    """Rows with errors, all of them written to a file."""

    def __init__(self, message: str, hint: str, problems_file: Path, counts: dict[Kind, int]) -> None:
        super().__init__(message, hint)
        self.problems_file = problems_file
        """One `Problem` a line, in the order of the source."""
        self.counts = counts

    def __reduce__(self) -> tuple[type[BadRowsError], tuple[str, str, Path, dict[Kind, int]]]:  # type: ignore[override]
        return type(self), (self.message, self.hint, self.problems_file, self.counts)


def summary(counts: Mapping[Kind, int]) -> str:
    """The counts by kind as words, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {TITLES[kind]}" for kind, count in ordered)
