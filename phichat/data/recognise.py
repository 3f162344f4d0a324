"""Which format a source has, found by the keys of its first rows and never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phichat.data.formats import FORMATS, Format
from phichat.data.messages import Record
from phichat.errors import DataError

REFUSED: Mapping[str, tuple[str, str]] = {
    "chosen": (
        "The rows are preference pairs ('chosen', 'rejected'): supervised training cannot use them.",
        "Name the columns with --map user=COLUMN,assistant=COLUMN, such as assistant=chosen",
    ),
    "text": (
        "The rows are finished texts ('text'), in which nobody can tell who said what.",
        "Bring them as messages, or as a question and an answer in columns of their own.",
    ),
}
"""Keys of rows that are recognised and cannot be trained on, with what can be done."""


@dataclass(frozen=True)
class Recognised:
    """The format of a source and why it is that one."""

    format: Format
    evidence: str


def recognise(rows: Sequence[Record], source: str) -> Recognised:
    """The one format that more than half of the first rows have.

    Raises:
        DataError: no format, or several.
    """
    known_here = [_spelled(known, rows) for known in FORMATS]
    counts = {known.name: sum(map(known.matches, rows)) for known in known_here}
    winners = [known for known in known_here if counts[known.name] * 2 > len(rows)]
    if len(winners) == 1:
        winner = winners[0]
        share = f"{counts[winner.name]} of the first {len(rows)} rows have {winner.evidence}"
        return Recognised(winner, share)
    if winners:
        candidates = " and ".join(f"{known.name} ({known.evidence})" for known in winners)
        hint = f"Decide with --format {winners[0].name} or --format {winners[1].name}"
        raise DataError(f"The rows of {source} can be read in more than one way: {candidates}.", hint)
    raise _unrecognised(rows, source, counts)


def fits(form: Format, rows: Sequence[Record], source: str) -> Format:
    """The format that a person has named, if any of the first rows has it.

    Raises:
        DataError: none has.
    """
    if not any(map(form.matches, rows)):
        form = _spelled(form, rows)
    if rows and not any(map(form.matches, rows)):
        told = f"No row of {source} has {form.evidence}; its fields are: {_listed(rows)}."
        raise DataError(told, "Name what is there: --map user=COLUMN,assistant=COLUMN")
    return form


def _spelled(form: Format, rows: Sequence[Record]) -> Format:
    """The format with the names of columns as the rows write them, if only upper and lower case differ."""
    found: dict[str, set[str]] = {}
    for key in {key for row in rows for key in row}:
        found.setdefault(key.lower(), set()).add(key)
    names = {name: min(keys) for name, keys in found.items() if len(keys) == 1 and name not in keys}
    return form.spelled(names) if names and form.spelled else form


def _unrecognised(rows: Sequence[Record], source: str, counts: Mapping[str, int]) -> DataError:
    some = [name for name, count in counts.items() if count]
    if some:
        found = " and ".join(f"{name} ({counts[name]})" for name in some)
        hint = f"Decide with --format {some[0]}; rows of another format are then errors"
        return DataError(f"The first {len(rows)} rows of {source} are of no single format: {found}.", hint)
    keys = {key for row in rows for key in row}
    for key, (reason, hint) in REFUSED.items():
        if key in keys:
            return DataError(f"{source} cannot be used. {reason}", hint)
    message = f"The rows of {source} have no format that is known; their fields are: {_listed(rows)}."
    return DataError(message, "Name the columns with --map user=COLUMN,assistant=COLUMN")


def _listed(rows: Sequence[Record]) -> str:
    """The names of the fields, for a sentence; bytes that are not UTF-8 are shown as a question mark."""
    keys = list(dict.fromkeys(key.encode(errors="replace").decode() for row in rows for key in row))
    return ", ".join(keys[:12]) + (", …" if len(keys) > 12 else "") or "none"
