"""The first pass: every row of the source is read, checked and written as one line of the same form."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from phichat.data import personal
from phichat.data.conversation import Conversation, encode
from phichat.data.formats import FORMATS, MESSAGES, Format, mapped, named
from phichat.data.manifest import PartReport
from phichat.data.messages import Notes
from phichat.data.options import DataOptions
from phichat.data.problems import Fault
from phichat.data.readers import Opened, Row, fields_of, open_rows, unreadable
from phichat.data.recognise import fits, recognise
from phichat.data.shape import Shape
from phichat.data.sources import Part, Source
from phichat.data.spool import BadRows, Findings, Spool
from phichat.data.table import PERSONAL, REMOVED
from phichat.data.validate import SpecialTokens, check, sound
from phichat.events import Event
from phichat.models.files import Meter

SNIFFED = 100
"""Rows that a file's format is recognised by."""
TICK = 512
"""Rows between two looks at how far the reading is."""


def _plain(key: str, value: Any) -> Any:
    """The value of a field; messages may stay JSON, which is read as turns at once."""
    return msgspec.json.decode(value) if type(value) is msgspec.Raw and key != "messages" else value


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
        wrapped = _wrapped(first)
        first = wrapped or first
        form, evidence = self._format(part, first)
        shape = _shape(form, first, opened)
        found, before = self.findings, len(self.findings.table)
        unit = "row" if part.table or wrapped else opened.unit
        found.names.append(part.name)
        found.units.append(unit)
        for count, (line, value) in enumerate(chain(first, opened.rows)):
            if count % TICK == 0:
                self._meter(self._done_bytes + opened.position(), self._total_bytes)
            row = found.table.append(number, line)
            if part.side is not None:
                found.table.side[row] = part.side
            found.hashes.append(b"")
            found.places.append(0)
            if shape and opened.lines and type(value) is shape.type:
                if self._usual(row, shape.conversation(value), spool):
                    shape.count(value, self._notes.ignored)
                    continue
                value = fields_of(opened.lines.line)
            faults = self._row(row, value, form, spool)
            if faults:
                self.bad.add(row, faults, faults[0].text or value)
        rows = len(found.table) - before
        found.parts.append(
            PartReport(
                name=part.name, kind=opened.kind, format=form.name, evidence=evidence, unit=unit, rows=rows
            )
        )

    def _format(self, part: Part, first: list[Row]) -> tuple[Format, str]:
        rows = [value for _, value in first if type(value) is dict]
        if self._options.columns:
            return fits(mapped(self._options.columns), rows, part.name), "named with --map"
        if self._options.format:
            return fits(named(self._options.format), rows, part.name), "named with --format"
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
        if not notes.faults and not self._usual(row, Conversation(turns), spool):
            check(turns, self._special, lambda number: form.place(record, turns, number), notes)
            if not notes.faults:
                self._keep(row, Conversation(turns), spool)
        if not notes.faults:
            for key in value.keys() - form.uses:
                if value[key] is not None:
                    notes.ignored[key] += 1
        return notes.faults

    def _usual(self, row: int, conversation: Conversation, spool: Spool) -> bool:
        """Keep a conversation that surely has no fault; false where it has to be checked."""
        if not sound(conversation.messages):
            return False
        try:
            line = encode(conversation)
        except UnicodeEncodeError:
            return False
        if self._special and self._special.may_be_in_line(line):
            return False
        self._keep(row, conversation, spool, line)
        return True

    def _keep(self, row: int, conversation: Conversation, spool: Spool, line: bytes = b"") -> None:
        """Write a good row down; `line` is the row as bytes, if somebody has it already."""
        if self._options.personal != "off" and self._personal(row, conversation):
            line = b""
        try:
            spool.add(row, line or encode(conversation))
        except UnicodeEncodeError:
            self._notes.fault("encoding", "", "the text is not UTF-8: save it as UTF-8.")

    def _personal(self, row: int, conversation: Conversation) -> bool:
        """Look for personal data; returns whether the texts are others now."""
        masked = False
        for turn in conversation.messages:
            found = personal.find(turn.content)
            if not found:
                continue
            self.findings.personal.update(each.kind for each in found)
            self.findings.table.flags[row] |= PERSONAL
            if self._options.personal == "mask":
                turn.content, masked = personal.mask(turn.content, found), True
            elif self._options.personal == "remove":
                self.findings.table.side[row] = REMOVED
        return masked


def _wrapped(first: list[Row]) -> list[Row]:
    """The rows inside the only object of a file, as in `{"data": […]}`; none if it is a row itself."""
    value = first[0][1] if len(first) == 1 else None
    if type(value) is not dict or any(known.matches(value) for known in FORMATS):
        return []
    try:
        lists = [each for each in (_plain("", value[key]) for key in value) if type(each) is list and each]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    objects = len(lists) == 1 and all(type(each) is dict for each in lists[0])
    return list(enumerate(lists[0], 1)) if objects else []


def _shape(form: Format, first: list[Row], opened: Opened) -> Shape | None:
    """What most lines look like, if they are JSON lines of messages; they are decoded as such from now on."""
    rows = [value for _, value in first if type(value) is dict]
    shape = Shape.of(rows) if form is MESSAGES and opened.lines and rows else None
    if shape and opened.lines:
        opened.lines.quick = shape.decode
    return shape
