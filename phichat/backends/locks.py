"""Locks between processes, for code that must not block its event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from filelock import FileLock, Timeout

POLL_SECONDS = 0.05


@contextlib.asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Hold a lock between processes without blocking the event loop while another holds it."""
    lock = FileLock(path, thread_local=False)
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            await asyncio.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()
