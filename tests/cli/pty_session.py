"""A command in a terminal of its own, driven as a person would: read what it shows, type, press Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


class Session:
    """A running command and its screen so far."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self._seen = ""

    def until(self, text: str, seconds: float = 30) -> str:
        """Read until the screen shows a text; what came before it, and the text, are then done with."""
        deadline = time.monotonic() + seconds
        while text not in self._seen:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{text!r} did not come; the screen ends {self._seen[-500:]!r}")
        before, self._seen = self._seen.split(text, 1)
        return before

    def match(self, pattern: str, seconds: float = 30) -> None:
        """Read until the screen has shown what matches; everything up to its end is then done with."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self._seen)):
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{pattern!r} did not come; the screen ends {self._seen[-500:]!r}")
        self._seen = self._seen[found.end() :]

    def type(self, text: str) -> None:
        """Press keys; `\\x03` is Ctrl-C and `\\x04` Ctrl-D."""
        os.write(self._terminal, text.encode())

    def ended(self, seconds: float = 30, pressing: str = "") -> int:
        """The exit code, once there is one; until then a key is pressed again and again.

        Python misses a Ctrl-C in the instant between showing a prompt and waiting for a key.
        """
        deadline = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            self.type(pressing)
            self._read(0.1)
        return self._process.wait(1)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], max(0, seconds))
        if not ready:
            return False
        try:
            some = os.read(self._terminal, 65536)
        except OSError:  # how Linux says that the other side is closed
            return False
        self._seen += some.decode("utf-8", "replace")
        return bool(some)


@contextlib.contextmanager
def session(*argv: str, cwd: Path) -> Iterator[Session]:
    """`phichat ARGV` in a terminal."""
    import pty

    ours, theirs = pty.openpty()
    # The first process of a session that opens a terminal owns it: Ctrl-C typed there is its signal.
    own = f'exec "$@" <{os.ttyname(theirs)} >{os.ttyname(theirs)} 2>&1'
    process = subprocess.Popen(
        ["/bin/sh", "-c", own, "sh", sys.executable, "-m", "phichat", *argv],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield Session(process, ours)
    finally:
        process.kill()
        process.wait(10)
        os.close(theirs)
        os.close(ours)
