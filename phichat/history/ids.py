"""Ids that two machines never share and that sort by the time they were made."""

from __future__ import annotations

import secrets
import threading
import time
import uuid

_lock = threading.Lock()
_latest = 0


def new_id() -> str:
    """A UUID of version 7 (RFC 9562, method 3): within a process each sorts after the one before.

    Its first 60 bits of content are the time in units of 1/4096 ms, the last 62 are random.
    """
    global _latest
    with _lock:
        _latest = max(time.time_ns() * 4096 // 1_000_000, _latest + 1)
        ticks = _latest
    milliseconds, fraction = divmod(ticks, 4096)
    number = milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=number))
