"""Getting a model into the cache, in a child process, so that nobody's event loop waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from phichat import errors
from phichat.errors import BackendError, PhichatError
from phichat.events import Event, parse
from phichat.models.cache import cached
from phichat.models.refs import ModelRef

_LINE_LIMIT = 1 << 20


async def pull(ref: ModelRef, cache: Path, report: Callable[[Event], None]) -> Path:
    """The model's folder, downloaded and converted unless it is there; `report` gets the progress in bytes.

    Two at once do it once. Cancelling it ends all its processes at once and leaves only what the next call
    goes on from.

    Raises:
        BackendError: there is no such model, no network, no room, or no right to it.
    """
    found = cached(ref, cache)
    if found and not _names_code(ref):
        return found
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "phichat.models.worker", str(cache), ref.model_dump_json()),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        limit=_LINE_LIMIT,
        env=worker_environment(os.environ),
        start_new_session=sys.platform != "win32",
    )
    try:
        failure = await _follow(process, report)
    finally:
        kill_tree(process)
        await process.communicate()
    found = cached(ref, cache)
    if failure or not found:
        raise failure or BackendError(f"{ref.title} could not be put into the cache.", "Run it again.")
    return found


def _names_code(ref: ModelRef) -> bool:
    """Whether it is a folder that may need code of its own, which only the worker can tell."""
    return ref.folder is not None and "auto_map" in (ref.folder / "config.json").read_text(encoding="utf-8")


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The person's own environment, without the hub's telemetry."""
    return {**environ, "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONUTF8": "1"}


async def _follow(process: Process, report: Callable[[Event], None]) -> PhichatError | None:
    """Pass the worker's events on to its end; returns the error that it ended with, if any."""
    assert process.stdout is not None
    failure: PhichatError | None = None
    last_words = ""
    async for raw in process.stdout:
        line = raw.decode("utf-8", errors="replace").rstrip()
        failure = failure or _error(line)
        event = parse(line)
        if event.kind == "log":
            last_words = line or last_words
        elif failure is None:
            report(event)
    if failure is None and await process.wait() != 0:
        failure = BackendError(
            f"The download broke off: {last_words or 'its process was ended'}.", "Run it again."
        )
    return failure


def _error(line: str) -> PhichatError | None:
    if not line.startswith('{"kind": "error"'):
        return None
    said = json.loads(line)
    kind: type[PhichatError] = getattr(errors, said["type"])
    return kind(said["message"], said["hint"])


def kill_tree(process: Process) -> None:
    """End the worker and all that it started, now; one that ended by itself has left nothing."""
    if process.returncode is not None and process.returncode >= 0:
        return
    if sys.platform != "win32":
        # Its own session: whatever the worker started is in its group, even when the worker is gone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        worker = psutil.Process(process.pid)
        for each in [*worker.children(recursive=True), worker]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
