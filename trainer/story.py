"""What a job has said, kept where it outlives the machine: the next machine says it once more."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Self

FOLDER = "PHICHAT_STORY"
"""The environment variable that names the folder; without it nothing is kept."""
PIECE = 2**15
"""Bytes of a file from which on another one is begun: each event writes its file anew, and closes it, as a
mounted folder keeps what is closed."""


class Story:
    """The lines of a job through all machines that it had, in files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = sorted(folder.glob("*.jsonl"))
        self._lines = b""

    @classmethod
    def here(cls) -> Self | None:
        """The story of this process's job, if it is to be kept."""
        folder = os.environ.get(FOLDER)
        return cls(Path(folder)) if folder else None

    def again(self) -> bytes:
        """What an earlier machine has said, between two lines that say so; nothing on the first one."""
        if not self._files:
            return b""
        # The end of a file may be missing: the machine went while it wrote.
        whole = (file.read_bytes().rpartition(b"\n") for file in self._files)
        said = b"".join(lines + end for lines, end, _ in whole)
        start = _line("start", number=said.count(b'{"kind": "start"') + 1)
        self.add(start)
        return _line("replay") + said + start

    def add(self, line: bytes) -> None:
        """Keep a line."""
        self._lines += line
        with contextlib.suppress(OSError):  # the work goes on where nothing can be kept
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"{len(self._files):06}.jsonl"
            (self._folder / name).write_bytes(self._lines)
            if len(self._lines) >= PIECE:
                self._files.append(self._folder / name)
                self._lines = b""


def _line(kind: str, **values: int) -> bytes:
    return f"{json.dumps({'kind': kind, 'at': time.time(), **values})}\n".encode()
