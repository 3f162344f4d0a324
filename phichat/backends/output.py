"""What a job has written, line by line, from any place in its output on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

BLOCK = 1000
"""Lines that are read at once."""


def block(path: Path, position: int, to_the_end: bool = False) -> list[tuple[str, int]]:
    """The next lines, `BLOCK` at most, each with the position behind it."""
    return list(islice(lines(path, position, to_the_end), BLOCK))


def lines(path: Path, position: int, to_the_end: bool = False) -> Iterator[tuple[str, int]]:
    """The lines from a byte position on, each with the position behind it.

    A last line without its end is still being written: it counts only when nothing more will come.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(position)
        for line in file:
            if not (line.endswith(b"\n") or to_the_end):
                return
            position += len(line)
            # A progress bar draws itself again after each carriage return: its last state is the line.
            yield line.decode("utf-8", errors="replace").rstrip("\r\n").rpartition("\r")[2], position
