"""Separated columns as rows: CSV and its relatives, whose first line names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from phichat.data.limits import ROW_LIMIT
from phichat.data.problems import Fault
from phichat.errors import DataError

DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """A table that is being read."""

    rows: Iterator[tuple[int, Any]]
    kind: str
    text: IO[str]
    """Kept alive as long as the table is read: when it is collected, it closes the file below it."""


def table(file: io.BufferedReader[Any], name: str, head: bytes) -> Table:
    """The file as a table; `head` is how it begins.

    Raises:
        DataError: the first line names no columns.
    """
    try:
        first = head.splitlines()[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 text.", "Save it as UTF-8.") from error
    delimiter = max(DELIMITERS, key=first.count)
    if delimiter not in first:
        told = f"{name} is neither JSON nor a table: it begins with {first[:40]!r}."
        raise DataError(told, "Bring JSON lines, a JSON array, CSV or Parquet.")
    csv.field_size_limit(ROW_LIMIT)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    kind = {"\t": "TSV", ",": "CSV"}.get(delimiter, f"CSV with {delimiter!r}")
    return Table(_rows(text, delimiter, name), kind, text)


def _rows(text: IO[str], delimiter: str, name: str) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header = _header(reader, name)
    while True:
        number = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, Fault("format", "", f"the table goes wrong here: {error}.")
            continue
        if not fields:
            continue
        if len(fields) == len(header):
            yield number, dict(zip(header, fields, strict=True))
        else:
            told = f"the line has {len(fields)} columns, the first line names {len(header)}."
            yield number, Fault("format", "", told, delimiter.join(fields))


def _header(reader: Iterator[list[str]], name: str) -> list[str]:
    """The names of the columns: the first line that is not blank."""
    try:
        header = next([column.strip() for column in fields] for fields in reader if fields)
    except csv.Error as error:
        told = f"The first line of {name}, which names the columns, goes wrong: {error}."
        raise DataError(told, "Mend its quotation marks.") from error
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise DataError(f"{name} has two columns {twice[0]!r}.", "Give one of them another name.")
    return header
