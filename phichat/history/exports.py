"""Conversations out of a store and into a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from pathlib import Path
from typing import TextIO

from phichat.errors import HistoryError
from phichat.history.base import HistoryStore
from phichat.history.formats import RENDER, Format


async def export(store: HistoryStore, ids: AsyncIterable[str], path: Path, form: Format) -> int:
    """Write conversations into a file, one at a time; returns how many are in it.

    Until all are written the file is as it was before, or not there.

    Raises:
        NotFoundError: there is no such conversation.
        HistoryError: the store cannot be read, or the file not written.
    """
    count = 0
    with _atomic(path) as file:
        async for text in render(store, ids, form):
            await asyncio.to_thread(file.write, text)
            count += 1
    return count


async def render(store: HistoryStore, ids: AsyncIterable[str], form: Format) -> AsyncIterator[str]:
    """The conversations as text, one at a time, without those that the format has nothing of.

    Raises:
        NotFoundError: there is no such conversation.
        HistoryError: the store cannot be read.
    """
    async for conversation_id in ids:
        transcript = await store.read(conversation_id)
        text = await asyncio.to_thread(RENDER[form], transcript)
        if text:
            yield text


@contextlib.contextmanager
def _atomic(path: Path) -> Iterator[TextIO]:
    """A file that takes the place of `path` when all is written, and is gone if not."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise HistoryError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
