"""Checkpoints that can be trusted: one counts only if everything in it was written."""

from __future__ import annotations

import shutil
from pathlib import Path

from files import read_json, write_json

MARKER = "complete.json"
"""Written last, with the size of every other file: a checkpoint without it, or with other sizes, is none."""


def mark(folder: Path) -> None:
    """Say that the checkpoint is complete."""
    sizes = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MARKER
    }
    write_json(folder / MARKER, sizes)


def complete(folder: Path) -> bool:
    """Whether the checkpoint is whole."""
    try:
        sizes = read_json(folder / MARKER)
        return bool(sizes) and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except OSError:
        return False


def step(folder: Path) -> int:
    """The training step after which the checkpoint was written."""
    return int(folder.name.rpartition("-")[2])


def found(directory: Path) -> list[Path]:
    """Every checkpoint in the folder, complete or not, the oldest first."""
    there = (path for path in directory.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit())
    return sorted(there, key=step)


def last(directory: Path) -> Path | None:
    """The newest complete checkpoint."""
    return next((folder for folder in reversed(found(directory)) if complete(folder)), None)


def remove_incomplete(directory: Path) -> None:
    """Remove what an earlier attempt left half written."""
    for folder in found(directory):
        if not complete(folder):
            shutil.rmtree(folder, ignore_errors=True)


def prune(directory: Path, best: Path | None) -> None:
    """Remove all but the newest complete checkpoint and the best: each is three times the model."""
    newest = last(directory)
    for folder in found(directory):
        if folder not in (newest, best):
            # The marker first: what is half removed must not count.
            (folder / MARKER).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
