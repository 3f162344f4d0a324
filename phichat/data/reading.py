"""The first pass: every row of the source is read, checked and written as one line of the same form."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, Self

import msgspec

from phichat.data import personal
from phichat.data.conversation import Conversation, Turn, content_hash, encode
from phichat.data.formats import MESSAGES, Format, mapped, named
from phichat.data.manifest import PartReport
from phichat.data.messages import Notes
from phichat.data.options import DataOptions
from phichat.data.problems import Fault, Kind, Problem
from phichat.data.readers import Opened, Row, open_rows, unreadable
from phichat.data.recognise import recognise
from phichat.data.sources import Part, Source
from phichat.data.split import place
from phichat.data.table import BAD, EVAL, FILES, PERSONAL, REMOVED, TRAIN, RowTable
from phichat.data.validate import SpecialTokens, check, sound
from phichat.events import Event
from phichat.models.files import Meter

SNIFFED = 100
"""Rows that a file's format is recognised by."""
TICK = 512
"""Rows between two looks at how far the reading is."""


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
        self._files[side].write(line)
        self._files[side].write(b"\n")

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


def _plain(key: str, value: Any) -> Any:
    """The value of a field; messages may stay JSON, which is read as turns at once."""
    return msgspec.json.decode(value) if type(value) is msgspec.Raw and key != "messages" else value


def _any_json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, TypeError):
        # Half of a character, or what only a table can hold: said in ASCII, so that nothing is lost.
        return json.dumps(value, default=str).encode()


class Reading:
    """Reads a whole source."""

    def __init__(
        self,
        source: Source,
        options: DataOptions,
        special: SpecialTokens | None,
        folder: Path,
        report: Callable[[Event], None],
    ) -> None:
        self._source = source
        self._options = options
        self._special = special
        self._meter = Meter("Reading", report)
        self._notes = Notes()
        self._done_bytes = 0
        self._total_bytes = sum(part.size for part in source.parts) or None
        self.findings = Findings(folder)
        self.bad = BadRows(self.findings)

    def run(self) -> Findings:
        """Read every part.

        Raises:
            DataError: a part cannot be opened, or has no format.
        """
        found = self.findings
        with Spool(found, self._options, self._source.divided) as spool:
            for number, part in enumerate(self._source.parts):
                with open_rows(part.path, part.name) as opened:
                    self._part(number, part, opened, spool)
                self._done_bytes += part.size
        self._meter(self._done_bytes, self._total_bytes)
        found.ignored += self._notes.ignored
        return found

    def _part(self, number: int, part: Part, opened: Opened, spool: Spool) -> None:
        first = list(islice(opened.rows, SNIFFED))
        form, evidence = self._format(part, first)
        found, before = self.findings, len(self.findings.table)
        unit = "row" if part.table else opened.unit
        found.names.append(part.name)
        found.units.append(unit)
        for count, (line, value) in enumerate(chain(first, opened.rows)):
            row = found.table.append(number, line)
            if part.side is not None:
                found.table.side[row] = part.side
            found.hashes.append(b"")
            found.places.append(0)
            faults = self._row(row, value, form, spool)
            if faults:
                self.bad.add(row, faults, faults[0].text or value)
            if count % TICK == 0:
                self._meter(self._done_bytes + opened.position(), self._total_bytes)
        rows = len(found.table) - before
        found.parts.append(
            PartReport(
                name=part.name, kind=opened.kind, format=form.name, evidence=evidence, unit=unit, rows=rows
            )
        )

    def _format(self, part: Part, first: list[Row]) -> tuple[Format, str]:
        if self._options.columns:
            return mapped(self._options.columns), "named with --map"
        if self._options.format:
            return named(self._options.format), "named with --format"
        rows = [value for _, value in first if type(value) is dict]
        if not rows:
            return MESSAGES, "no row could be read"
        recognised = recognise(rows, part.name)
        return recognised.format, recognised.evidence

    def _row(self, row: int, value: Any, form: Format, spool: Spool) -> list[Fault]:
        """Write a good row to the spool; returns what is wrong with a bad one."""
        if type(value) is Fault:
            return [value]
        if type(value) is not dict:
            return [Fault("json", "", "an object with named fields is expected here.")]
        if not form.matches(value):
            return [
                Fault("format", "", f"the row has no {form.evidence}, as the others of {form.name} have.")
            ]
        notes = self._notes
        notes.faults = []
        try:
            record = {key: _plain(key, value[key]) for key in form.uses if key in value}
            turns = form.convert(record, notes)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return [unreadable(error, msgspec.json.encode(value))]
        if not notes.faults and not sound(turns, self._special):
            check(turns, self._special, lambda number: form.place(record, turns, number), notes)
        if notes.faults:
            return notes.faults
        for key in value.keys() - form.uses:
            notes.ignored[key] += 1
        return self._keep(row, turns, spool)

    def _keep(self, row: int, turns: list[Turn], spool: Spool) -> list[Fault]:
        if self._options.personal != "off":
            self._personal(row, turns)
        try:
            line = encode(Conversation(turns))
        except UnicodeEncodeError:
            return [Fault("encoding", "", "the text is not UTF-8: save it as UTF-8.")]
        spool.add(row, line)
        return []

    def _personal(self, row: int, turns: list[Turn]) -> None:
        for turn in turns:
            found = personal.find(turn.content)
            if not found:
                continue
            self.findings.personal.update(each.kind for each in found)
            self.findings.table.flags[row] |= PERSONAL
            if self._options.personal == "mask":
                turn.content = personal.mask(turn.content, found)
            elif self._options.personal == "remove":
                self.findings.table.side[row] = REMOVED
