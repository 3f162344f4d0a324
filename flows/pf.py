"""Runs Prompt flow's own `pf` with two faults of its server mended: `pf.py flow serve …`.

Both are there in 1.18.5, the version that requirements.txt pins and that no other one will follow.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def tell_broken_streams() -> None:
    """An answer that breaks off while it is read as a whole is an error in its own words.

    The original forgets to look how its reading ended, and says "can only join an iterable".
    """
    from promptflow.executor.flow_executor import FlowExecutor

    async def read(self: Any, outputs: dict[str, Any]) -> dict[str, Any]:
        for name, value in outputs.items():
            if isinstance(value, Iterator):
                await asyncio.to_thread(self._merge_iterator, value, outputs, name)
        return outputs

    FlowExecutor._stringify_generator_output_async = read


def shut_the_door() -> None:
    """No web page of others may use the server: the original lets every origin in, and has no key."""
    from promptflow.core._serving.v2 import app

    sys.path.insert(0, str(Path(__file__).with_name("chat")))
    from door import Door

    app.CORSMiddleware = lambda app, **_: Door(app)


def main() -> None:
    """Hand the command line to `pf`."""
    if sys.argv[1:3] == ["flow", "serve"]:
        tell_broken_streams()
        shut_the_door()
    from promptflow._cli.pf import main as pf

    pf()


if __name__ == "__main__":
    main()
