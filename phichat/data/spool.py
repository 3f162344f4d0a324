"""Where rows go while they are read: good ones into the file of their probable side, bad ones beside."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec

from phichat.data.conversation import content_hash
from phichat.data.manifest import PartReport
from phichat.data.options import DataOptions
from phichat.data.problems import Fault, Kind, Problem
from phichat.data.split import place
from phichat.data.table import BAD, EVAL, FILES, REMOVED, TRAIN, RowTable


@dataclass
class Findings:
    """What the reading found, and where it put the rows."""

    folder: Path
    table: RowTable = field(default_factory=RowTable)
    parts: list[PartReport] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    """The content hash of each row; empty for a bad one."""
    places: array[float] = field(default_factory=lambda: array("d"))
    """Where each row's hash falls between 0 and 1, with the seed; 0 for a bad one."""
    spooled: array[int] = field(default_factory=lambda: array("Q"))
    """The rows whose lines were kept, in order."""
    guessed: array[int] = field(default_factory=lambda: array("B"))
    """The side in whose file each of them was written down at once: most stay there."""
    ignored: Counter[str] = field(default_factory=Counter)
    personal: Counter[str] = field(default_factory=Counter)

    def spool(self, side: int) -> Path:
        """The file of the rows that were guessed to be on a side."""
        return self.folder / f"spool-{FILES[side]}"

    def lines(self, without: Container[int] = (BAD, REMOVED)) -> Iterator[tuple[int, bytes]]:
        """The number and the line of every row that was kept and is not on one of these sides, in order."""
        side = self.table.side
        with ExitStack() as stack:
            files = [
                stack.enter_context(self.spool(each).open("rb", buffering=1 << 20)) for each in (TRAIN, EVAL)
            ]
            for row, guess in zip(self.spooled, self.guessed, strict=True):
                line = files[guess].readline()
                if side[row] not in without:
                    yield row, line


class Spool:
    """Writes good rows down, each in the file of the side that it will probably be on."""

    def __init__(self, found: Findings, options: DataOptions, divided: bool) -> None:
        self._found = found
        self._options = options
        self._divided = divided
        self._files = [found.spool(side).open("wb", buffering=1 << 20) for side in (TRAIN, EVAL)]
        self._at = [0, 0]

    def add(self, row: int, line: bytes) -> None:
        """Keep the line of a row."""
        found = self._found
        name = found.hashes[row] = content_hash(line)
        found.places[row] = place(name, self._options.seed)
        side = self._side(row)
        found.spooled.append(row)
        found.guessed.append(side)
        found.table.offset[row] = self._at[side]
        self._at[side] += len(line) + 1
        self._files[side].writelines((line, b"\n"))

    def _side(self, row: int) -> int:
        """Where the row goes unless the checks across rows say otherwise."""
        if self._divided:
            return EVAL if self._found.table.side[row] == EVAL else TRAIN
        return EVAL if self._found.places[row] < self._options.test_size else TRAIN

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()


class BadRows:
    """Collects the rows with faults: the faults in one file, the rows themselves in another."""

    def __init__(self, found: Findings) -> None:
        self.counts: Counter[Kind] = Counter()
        self.rows = 0
        self._found = found
        self._problems_file = found.folder / "problems.jsonl"
        self._problems = self._problems_file.open("wb")
        self._rows = (found.folder / "bad.jsonl").open("wb")
        self._last = -1
        self._in_order = True

    def add(self, row: int, faults: Sequence[Fault], value: Any) -> None:
        """Make a row a bad one; `value` is what stands there."""
        table = self._found.table
        table.side[row], table.offset[row] = BAD, self._rows.tell()
        part = table.part[row]
        place = {"file": self._found.names[part], "line": table.line[row], "unit": self._found.units[part]}
        for fault in faults:
            self.counts[fault.kind] += 1
            told = {"kind": fault.kind, "field": fault.field, "message": fault.message}
            self._problems.write(msgspec.json.encode({"row": row, **place, **told}) + b"\n")
        why = [{"kind": each.kind, "field": each.field, "message": each.message} for each in faults]
        self._rows.write(_any_json({**place, "problems": why, "row": value}) + b"\n")
        self.rows += 1
        self._in_order = self._in_order and row > self._last
        self._last = row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._problems.close()
        self._rows.close()
        if not self.rows:
            self._problems_file.unlink()
            Path(self._rows.name).unlink()
        elif not self._in_order:
            lines = self._problems_file.read_bytes().splitlines(keepends=True)
            lines.sort(key=lambda line: Problem.model_validate_json(line).row)
            self._problems_file.write_bytes(b"".join(lines))


def _any_json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, TypeError):
        # Half of a character, or what only a table can hold: said in ASCII, so that nothing is lost.
        return json.dumps(value, default=str).encode()
