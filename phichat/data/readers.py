"""Files as rows, one at a time: JSON lines, a JSON array, CSV, Parquet; plain or gzipped."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import msgspec

from phichat.data.arrays import Values
from phichat.data.limits import CHUNK, ROW_LIMIT
from phichat.data.problems import Fault
from phichat.data.tables import table
from phichat.errors import DataError

BOM = b"\xef\xbb\xbf"
_PACKED = (b"PK\x03\x04", b"%PDF-")
"""How archives, Office documents and PDF begin."""
BATCH = 256
"""Rows of a Parquet file that are in memory at once."""

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
    if start.startswith(_PACKED) or b"\0" in head:
        what = "an archive, an Office document or PDF" if start.startswith(_PACKED) else "not text"
        raise DataError(f"{name} is {what}.", "Bring JSON lines, a JSON array, CSV or Parquet.")
    if start[:1] == b"[":
        array = Values(file)
        return Opened(array.array(), f"JSON array{suffix}", "row", position, array.text)
    if start[:1] == b"{" and _over_lines(start):
        objects = Values(file)
        return Opened(objects.objects(), f"JSON{suffix}", "row", position, objects.text)
    if start[:1] == b"{":
        lines = Lines(file)
        return Opened(lines.rows(), f"JSON lines{suffix}", "line", position, lines=lines)
    found = table(file, name, start)
    return Opened(found.rows, found.kind + suffix, "line", position, found.text)


def _over_lines(start: bytes) -> bool:
    """Whether an object goes on below its first line, as people print it to be read."""
    return start.partition(b"\n")[0].rstrip().endswith((b"{", b"[", b",", b":"))


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
        return _value(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return unreadable(error, line)


def _value(line: bytes) -> Any:
    """A line that is no object: another JSON value, or what begins as one."""
    try:
        return _decode(line)
    except msgspec.DecodeError as error:
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
