"""What a person names as the source of conversations → the files that hold them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from phichat.data.demo import DEMO_FILE
from phichat.data.options import DataOptions
from phichat.data.table import EVAL, TRAIN
from phichat.errors import DataError
from phichat.events import Event

SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"})
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
HUB_PAGE = re.compile(rf"https://huggingface\.co/datasets/(?P<name>{HUB_ID.pattern})/?")
"""A dataset's address, as it stands in a browser."""
_TRAIN = re.compile(r"train(?![a-z])", re.IGNORECASE)
_EVAL = re.compile(r"(?:valid|validation|val|eval|dev|test)(?![a-z])", re.IGNORECASE)

SourceKind = Literal["file", "folder", "standard input", "hub", "demo"]


@dataclass(frozen=True)
class Part:
    """One file of a source."""

    name: str
    """Stands in messages."""
    path: Path | None
    """None: standard input."""
    side: int | None = None
    """Where all its rows go, if the source is divided already."""
    table: bool = False
    """Whether its lines stand for the rows of a table that people know by number."""

    @property
    def size(self) -> int:
        """Bytes; 0 where nobody knows."""
        return self.path.stat().st_size if self.path else 0


@dataclass(frozen=True)
class Source:
    """Where conversations come from."""

    name: str
    kind: SourceKind
    parts: tuple[Part, ...]
    revision: str = ""
    """The commit of a hub dataset."""
    passed_over: tuple[str, ...] = field(default=())
    """Files of a folder that are of no kind that holds rows."""

    @property
    def divided(self) -> bool:
        """Whether it brings its own division into training and evaluation."""
        return any(part.side is not None for part in self.parts)


def missing(source: str) -> DataError | None:
    """What is wrong with a name that means nothing, as far as that can be told without the hub."""
    path = Path(source).expanduser()
    if source in ("-", "demo") or path.exists() or _on_hub(source):
        return None
    if "://" in source:
        return DataError(
            f"{source} is no dataset of the hub.", f"For a file: curl -L {source} | phichat data -"
        )
    return DataError(
        f"There is no file or folder {source!r}.",
        "Name a file, a folder, a dataset of the hub as owner/name, '-' for standard input, or 'demo'.",
    )


def _on_hub(source: str) -> str:
    """The name of a dataset of the hub, if the source is written as one."""
    page = HUB_PAGE.fullmatch(source)
    if page:
        return page["name"]
    return source if HUB_ID.fullmatch(source) and _suffix(Path(source)) not in SUFFIXES else ""


def find(source: str, options: DataOptions, report: Callable[[Event], None]) -> Source:
    """What `source` means: `-`, a file, a folder, `demo`, or `owner/name` of the hub, in this order.

    Raises:
        DataError: there is no such thing, or the hub does not give it.
    """
    if source == "-":
        return Source(source, "standard input", (Part("standard input", None),))
    path = Path(source).expanduser()
    if path.is_dir():
        return _folder(source, path)
    if path.exists():
        return Source(source, "file", (Part(path.name, path),))
    if source == "demo":
        return Source(source, "demo", (Part(DEMO_FILE.name, DEMO_FILE),))
    if error := missing(source):
        raise error
    return _hub(_on_hub(source), options, report)


def _hub(name: str, options: DataOptions, report: Callable[[Event], None]) -> Source:
    from phichat.data import hub

    found, revision = hub.rows_file(name, options, report)
    return Source(name, "hub", (Part(f"{name} {found.label}", found.path, table=True),), revision)


def _folder(source: str, folder: Path) -> Source:
    """Every file with rows below a folder, by name; hidden ones are left alone."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _hidden(path, folder)]
    rows = [path for path in files if _suffix(path) in SUFFIXES]
    if not rows:
        known = ", ".join(sorted(SUFFIXES))
        raise DataError(
            f"The folder {source} has no file that holds rows.", f"These do: {known}; also with .gz"
        )
    passed = tuple(_name(path, folder) for path in files if path not in rows)
    return Source(source, "folder", tuple(_sided(rows, folder)), passed_over=passed)


def _sided(paths: list[Path], folder: Path) -> Iterator[Part]:
    """The files as parts; where every one is named after a side and both are there, with that side."""
    sides = [TRAIN if _TRAIN.match(path.name) else EVAL if _EVAL.match(path.name) else None for path in paths]
    divided = TRAIN in sides and EVAL in sides and None not in sides
    for path, side in zip(paths, sides, strict=True):
        yield Part(_name(path, folder), path, side if divided else None)


def _name(path: Path, folder: Path) -> str:
    """A file's name inside its folder, for sentences; bytes that are not UTF-8 are a question mark."""
    return path.relative_to(folder).as_posix().encode(errors="replace").decode()


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _suffix(path: Path) -> str:
    """The ending that says what a file holds: the one before `.gz`."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
