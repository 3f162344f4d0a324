"""Notices when a backend holds up the event loop, and which of its lines does."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TICK = 0.01
"""Seconds between two beats."""


class Heartbeat:
    """Beats on the event loop, while a thread listens how long it was silent at most.

    The thread counts its own ticks, so that a machine too busy to run either of the two is not held
    against the backend.
    """

    def __init__(self) -> None:
        self.silence = 0.0
        """The longest silence so far, in seconds."""
        self.stack: list[traceback.FrameSummary] = []
        """What the event loop was doing during that silence, innermost call last."""
        self._beats = 0
        self._thread_id = threading.get_ident()
        self._stop = threading.Event()

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            self._beats += 1
            await asyncio.sleep(TICK)

    def listen(self) -> None:
        """Measure the silences until `stop`."""
        heard, silence, before = -1, 0.0, time.monotonic()
        while not self._stop.wait(TICK):
            now = time.monotonic()
            silence = 0.0 if self._beats != heard else silence + min(now - before, 2 * TICK)
            heard, before = self._beats, now
            if silence > self.silence:
                self.silence = silence
                self.stack = list(traceback.extract_stack(sys._current_frames().get(self._thread_id)))

    def stop(self) -> None:
        """End `listen`."""
        self._stop.set()


@asynccontextmanager
async def heartbeat() -> AsyncIterator[Heartbeat]:
    """Listen to the running event loop; read the result behind the block."""
    heart = Heartbeat()
    listener = threading.Thread(target=heart.listen, daemon=True)
    beating = asyncio.create_task(heart.beat())
    # The first beat must be heard before a silence can be.
    await asyncio.sleep(0)
    listener.start()
    try:
        yield heart
    finally:
        heart.stop()
        beating.cancel()
        await asyncio.to_thread(listener.join)
