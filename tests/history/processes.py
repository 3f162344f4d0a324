"""Other programs that use a store: started, read and killed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def program(name: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A module beside this one as a program of its own; killed in the end if it still runs."""
    command = [sys.executable, "-m", f"tests.history.{name}", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(stream: IO[str] | None) -> Iterator[dict[str, Any]]:
    """What a program said, without a last line that it did not live to end."""
    assert stream
    for line in stream:
        if line.endswith("\n"):
            yield json.loads(line)
