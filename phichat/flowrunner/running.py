"""A command that is waited for: watched while it runs, ended with its children if nobody waits any more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

LOOK_SECONDS = 0.2
GRACE_SECONDS = 5.0


async def run(
    argv: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    look: Callable[[], None] | None = None,
) -> int:
    """The exit code of a command whose output goes into a file; `look` is called now and then meanwhile.

    Raises:
        OSError: the command cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **(env or {})},
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        ended = asyncio.ensure_future(process.wait())
        while not ended.done():
            await asyncio.wait({ended}, timeout=LOOK_SECONDS)
            if look is not None:
                look()
        return ended.result()
    finally:
        if process.returncode is None:
            await asyncio.shield(asyncio.to_thread(_end, process.pid))
            await process.wait()


def last_words(log: Path) -> str:
    """The last line that a command has written; empty if it wrote nothing."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _end(pid: int) -> None:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        _signal(member, psutil.Process.terminate)
    _, left = psutil.wait_procs(family, timeout=GRACE_SECONDS)
    for member in left:
        _signal(member, psutil.Process.kill)


def _signal(process: psutil.Process, send: Callable[[psutil.Process], None]) -> None:
    try:
        send(process)
    except psutil.NoSuchProcess:
        return
