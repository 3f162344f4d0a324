"""Copies the model of a job into a folder of the person's: whole, or not at all."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

PIECE = 16 * 1024**2
"""Bytes between two looks whether anybody still waits."""


class StoppedError(Exception):
    """Nobody waits for the copy any more."""


async def put(model: Path, directory: Path, run: str) -> None:
    """Put a copy of a run's model where another may stand; cancelled, it leaves nothing behind.

    Raises:
        OSError: it cannot be copied; what stood there stays.
    """
    stop = threading.Event()
    # Named by the run: what an interrupted copy of another model has left must never get into this one.
    begun = directory.with_name(f".{directory.name}.{run}.partial")
    copying = asyncio.ensure_future(asyncio.to_thread(replace, model, directory, begun, stop.is_set))
    try:
        await asyncio.shield(copying)
    finally:
        stop.set()
        await asyncio.wait({copying})


def replace(model: Path, directory: Path, begun: Path, stopped: Callable[[], bool]) -> None:
    """Make a whole copy in `begun`, then let it take the place of `directory`."""
    shutil.rmtree(begun, ignore_errors=True)
    try:
        shutil.copytree(model, begun, copy_function=partial(_copy, stopped=stopped))
        shutil.rmtree(directory, ignore_errors=True)
        begun.rename(directory)
    except StoppedError:
        return
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def _copy(source: str, target: str, *, stopped: Callable[[], bool]) -> None:
    with Path(source).open("rb") as model, Path(target).open("wb") as copy:
        while piece := model.read(PIECE):
            if stopped():
                raise StoppedError
            copy.write(piece)
    shutil.copystat(source, target)


def reason(error: OSError) -> str:
    """Why a copy failed; a folder's error lists those of its files as (from, to, why)."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return str(error.args[0][0][2])
    return error.strerror or str(error)
