"""Files as rows, one at a time: JSON lines, a JSON array, CSV, Parquet; plain or gzipped."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import msgspec

from phichat.data.problems import Fault
from phichat.errors import DataError

BOM = b"\xef\xbb\xbf"
ROW_LIMIT = 64 * 2**20
"""Bytes of one row; a longer one is an error, so that memory stays bounded whatever the file."""
CHUNK = 2**20
BATCH = 256
"""Rows of a Parquet file that are in memory at once."""
DELIMITERS = ",;\t|"
_SPACE = re.compile(r"[ \t\r\n]*")
_scan = json.JSONDecoder().raw_decode

Binary: TypeAlias = "io.BufferedReader[Any]"
Row = tuple[int, Any]
"""Line or row number, from 1, and what stands there: any JSON value, or a Fault."""


@dataclass(frozen=True)
class Opened:
    """A file that is being read."""

    rows: Iterator[Row]
    kind: str
    """What the file turned out to be, as people call it."""
    unit: Literal["line", "row"]
    position: Callable[[], int]
    """Bytes of the file that were read so far."""
    text: object = None
    """Kept alive as long as the file is read: when a decoder is collected, it closes the file below it."""
    lines: Lines | None = None
    """The same rows as they stand there, if they are JSON lines."""


@contextmanager
def open_rows(path: Path | None, name: str) -> Iterator[Opened]:
    """The rows of a file, or of standard input (None); the kind is found by the first bytes.

    Raises:
        DataError: it cannot be opened, or is of no kind that is known; also while it is read.
    """
    try:
        source = io.FileIO(sys.stdin.fileno(), closefd=False) if path is None else io.FileIO(path)
    except OSError as error:
        raise DataError(f"{name} cannot be opened: {error.strerror}.", "Check the path.") from error
    raw = io.BufferedReader(source, CHUNK)
    with raw:
        zipped = raw.peek(2).startswith(b"\x1f\x8b")
        plain: Binary = io.BufferedReader(gzip.GzipFile(fileobj=raw), CHUNK) if zipped else raw
        position = raw.tell if raw.seekable() else lambda: 0
        try:
            yield _by_content(plain, position, name, ", gzipped" if zipped else "")
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise DataError(f"{name} is a damaged gzip file: {error}.", "Get the file again.") from error


def _by_content(file: Binary, position: Callable[[], int], name: str, suffix: str) -> Opened:
    head = file.peek(CHUNK)
    if head.startswith(b"PAR1"):
        if suffix or not file.seekable():
            raise DataError(f"{name} is Parquet inside a stream.", "Unpack it to a file first.")
        return _parquet(file, name)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{name} is UTF-16 text.", "Save it as UTF-8.")
    start = head.removeprefix(BOM).lstrip()
    if not start:
        raise DataError(f"{name} is empty.")
    if start[:1] == b"[":
        array = _Array(file)
        return Opened(array.rows(), f"JSON array{suffix}", "row", position, array)
    if start[:1] == b"{":
        lines = Lines(file)
        return Opened(lines.rows(), f"JSON lines{suffix}", "line", position, lines=lines)
    return _table(file, position, name, start, suffix)


class Lines:
    """JSON lines; blank ones are passed over. The fields of an object stay JSON until they are wanted."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.quick: Callable[[bytes], Any] | None = None
        """What to make of a line, if there is something; where it gives None, the line is read as ever."""
        self.line = b""
        """The one that was read last."""

    def rows(self) -> Iterator[Row]:
        """Every line that is not blank."""
        for number, line in enumerate(_bounded_lines(self._file), 1):
            if line is None:
                yield number, Fault("json", "", f"the line is longer than {ROW_LIMIT // 2**20} MB.")
                continue
            self.line = line
            value = self.quick(line) if self.quick else None
            if value is not None:
                yield number, value
                continue
            if number == 1:
                line = line.removeprefix(BOM)
            if not line.isspace():
                yield number, fields_of(line)


_decode, _fields = msgspec.json.Decoder().decode, msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def fields_of(line: bytes) -> Any:
    """A line as fields that are still JSON, as another JSON value, or as a Fault."""
    try:
        return _fields(line)
    except msgspec.ValidationError:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return unreadable(error, line)


def unreadable(error: Exception, text: bytes) -> Fault:
    """What is wrong with a text that could not be decoded as JSON."""
    kept = text.decode(errors="replace").strip()
    if isinstance(error, UnicodeDecodeError):
        return Fault("encoding", "", f"the text is not UTF-8 at byte {error.start}: save it as UTF-8.", kept)
    return Fault("json", "", f"the line is not JSON: {_reason(str(error))}.", kept)


def _bounded_lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """The lines of a file; None for one that is too long to hold."""
    while line := file.readline(ROW_LIMIT + 1):
        if len(line) <= ROW_LIMIT:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(CHUNK)
        yield None


def _reason(text: str) -> str:
    """Why a line is not JSON, in people's words."""
    if "truncated" in text:
        return "it ends too early"
    reason = text.removeprefix("JSON is malformed: ")
    return reason.replace("(byte ", "at byte ").replace(")", "")


class _Array:
    """The elements of one JSON array, however large: little more than one is in memory."""

    def __init__(self, file: Binary) -> None:
        # A byte that is not UTF-8 becomes a lone surrogate, which is found when the row is written.
        self._text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._buffer = ""
        self._at = 0

    def rows(self) -> Iterator[Row]:
        """Every element; a mistake ends the array, because nobody knows where the next one begins."""
        number, separator = 0, "["
        while True:
            found = self._next_character()
            if found == "]" and number:
                return
            if found != separator:
                told = f"the array goes wrong here: {separator!r} is missing."
                yield number + 1, Fault("json", "", told)
                return
            self._at += 1
            if separator == "[" and self._next_character() == "]":
                return
            number, separator = number + 1, ","
            value = self._element()
            yield number, value
            if isinstance(value, Fault):
                return

    def _more(self, size: int) -> bool:
        """Read on behind what is unread; false at the end of the file."""
        text = self._text.read(size)
        if text:
            self._buffer = self._buffer[self._at :] + text
            self._at = 0
        return bool(text)

    def _next_character(self) -> str:
        """The next character that is no white space, which stays unread; empty at the end."""
        while True:
            self._at = _SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]  # matches nothing too
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more(CHUNK):
                return ""

    def _element(self) -> Any:
        """The value that begins here; reads on, twice as much each time, until it is complete."""
        self._next_character()
        size = CHUNK
        while True:
            try:
                value, end = _scan(self._buffer, self._at)
                # A number that ends with the buffer may go on behind it.
                if end < len(self._buffer) or not self._more(size):
                    self._at = end
                    return value
            except (json.JSONDecodeError, RecursionError) as error:
                if len(self._buffer) - self._at < ROW_LIMIT and self._more(size):
                    size *= 2
                    continue
                reason = error.msg.lower() if isinstance(error, json.JSONDecodeError) else "too many brackets"
                return Fault("json", "", f"the array goes wrong here, and the rest cannot be read: {reason}.")


def _table(file: Binary, position: Callable[[], int], name: str, head: bytes, suffix: str) -> Opened:
    """A file of separated columns, whose first line names them."""
    header = head.splitlines()[0].decode("utf-8", errors="replace")
    delimiter = max(DELIMITERS, key=header.count)
    if delimiter not in header:
        told = f"{name} is neither JSON nor a table: it begins with {header[:40]!r}."
        raise DataError(told, "Bring JSON lines, a JSON array, CSV or Parquet.")
    csv.field_size_limit(ROW_LIMIT)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    kind = {"\t": "TSV", ",": "CSV"}.get(delimiter, f"CSV with {delimiter!r}")
    return Opened(_csv(text, delimiter), kind + suffix, "line", position, text)


def _csv(text: IO[str], delimiter: str) -> Iterator[Row]:
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header = [column.strip() for column in next(reader)]
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


def _parquet(raw: Binary, name: str) -> Opened:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet as parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise DataError(f"{name} is a Parquet file.", "To read it: pip install 'phichat[data]'") from error
    try:
        file = parquet.ParquetFile(raw, pre_buffer=False)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{name} is a damaged Parquet file: {error}.", "Get the file again.") from error
    size = raw.seek(0, io.SEEK_END)
    done = [0]

    def rows() -> Iterator[Row]:
        for batch in file.iter_batches(batch_size=BATCH, use_threads=False):
            for value in batch.to_pylist():
                done[0] += 1
                yield done[0], value

    total = max(1, file.metadata.num_rows)
    return Opened(rows(), "Parquet", "row", lambda: size * done[0] // total)
