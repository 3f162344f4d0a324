"""What a process says to whoever started it: one JSON object a line on stdout."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any


def say(kind: str, **fields: Any) -> None:
    """Write one event. Nobody may be reading any more; that is no reason to end."""
    with contextlib.suppress(OSError, ValueError):
        print(json.dumps({"kind": kind, "at": time.time(), **fields}, ensure_ascii=False), flush=True)
