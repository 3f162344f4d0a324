"""Conversations out of a file and into a store, in any of the formats that can be exported."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError

from phichat.errors import DataError, NotFoundError
from phichat.history import formats, markdown
from phichat.history.base import HistoryStore
from phichat.history.foreign import Reader
from phichat.history.tree import Transcript
from phichat.history.values import Merged

BATCH = 2_000
"""Messages that are written at once: each time the disk is waited for, and others wait for this."""
KNOWN = "It may be JSONL or Markdown that phichat exported, or chats as OpenAI or ShareGPT have them."


async def import_file(store: HistoryStore, path: Path, *, project: str = "") -> Merged:
    """Take in a file's conversations; the same file again adds nothing.

    Nor does Markdown beside the conversations that it was written from, as long as nobody has edited it.
    The whole file is checked before the first conversation is written. Formats other than phichat's
    own know no project: their conversations get this one.

    Raises:
        DataError: the file, or a part of it, is in no known format, or it holds none. Nothing was imported.
        HistoryError: the store cannot be written.
    """
    if not await asyncio.to_thread(lambda: sum(1 for _ in read(path, project))):
        raise DataError(f"{path} holds no conversation.", KNOWN)
    added = changed = known = 0
    batches = _batches(_read(path, project))
    while batch := await asyncio.to_thread(next, batches, None):
        new = [copy for copy, origin in batch if not await _is_there(store, origin, copy)]
        merged = await store.merge(new)
        added, changed = added + merged.added, changed + merged.changed
        known += merged.known + len(batch) - len(new)
    return Merged(added, changed, known)


def read(path: Path, project: str = "") -> Iterator[Transcript]:
    """The conversations of a file one by one, in whichever format it is.

    Raises:
        DataError: the file, or a part of it, is in no known format.
    """
    return (transcript for transcript, _ in _read(path, project))


def _read(path: Path, project: str) -> Iterator[tuple[Transcript, str]]:
    """Each conversation, and the id of the one that it is a part of; empty where that is not known."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = Reader(project, path.stat().st_mtime)
            for place, part in _parts(file, path):
                with _located(f"{path}, {place}"):
                    transcript = _transcript(part, reader)
                yield transcript, _origin(part)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


async def _is_there(store: HistoryStore, origin: str, copy: Transcript) -> bool:
    """Whether the conversation that a copy was written from is there, and says the same still."""
    if not origin:
        return False
    try:
        original = await store.read(origin)
    except NotFoundError:
        return False
    said, again = ([(turn.role, turn.content) for turn in each.branch()] for each in (original, copy))
    same = original.conversation.system == copy.conversation.system and said[: len(again)] == again
    # What is in the bin comes back as a copy: whoever takes it in again wants it.
    return same and original.conversation.deleted is None


def _batches(transcripts: Iterator[tuple[Transcript, str]]) -> Iterator[list[tuple[Transcript, str]]]:
    """The conversations, so many at once as have enough messages."""
    batch: list[tuple[Transcript, str]] = []
    messages = 0
    for transcript, origin in transcripts:
        batch.append((transcript, origin))
        messages += len(transcript.messages) + 1
        if messages >= BATCH:
            yield batch
            batch, messages = [], 0
    yield batch


def _parts(file: TextIO, path: Path) -> Iterator[tuple[str, Any]]:
    """The conversations of a file as JSON, or as lines of JSON, each with the place where it is."""
    first = file.readline()
    file.seek(0)
    if path.suffix.lower() in (".md", ".markdown") or first.startswith("<!-- phichat:"):
        with _located(f"{path}"):
            records = list(markdown.parse(file.read()))
            if not records:
                raise ValueError("it is no Markdown that phichat wrote")
    elif path.suffix.lower() == ".json" or first.lstrip().startswith("["):
        with _located(f"{path}"):
            whole = json.load(file)
            records = whole if isinstance(whole, list) else [whole]
    else:
        yield from ((f"line {number}", line) for number, line in enumerate(file, 1) if line.strip())
        return
    yield from ((f"conversation {number}", record) for number, record in enumerate(records, 1))


def _transcript(part: Any, reader: Reader) -> Transcript:
    record = json.loads(part) if isinstance(part, str) else part
    if not isinstance(record, dict):
        raise ValueError("it is not an object")
    return formats.transcript(record) if "phichat" in record else reader.transcript(record)


def _origin(part: Any) -> str:
    """Which conversation a record of Markdown was written from: others' ids say nothing here."""
    found = part.get(markdown.ORIGIN) if isinstance(part, dict) else None
    return found if isinstance(found, str) else ""


@contextlib.contextmanager
def _located(place: str) -> Iterator[None]:
    """Says where in a file something is wrong, and what."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: it is not JSON ({error.msg}).", KNOWN) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{place}: {where}: {first['msg']}.", KNOWN) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: {error}.", KNOWN) from error
