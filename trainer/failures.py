"""What went wrong, in one sentence that a person can do something with."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path


class TrainError(Exception):
    """Something that a person should read: one sentence, and what to do."""


class Cancelled(BaseException):
    """Somebody asked the process to end: like KeyboardInterrupt no error, and not to be caught as one."""


FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_FULL_WORDS = (
    "No space left on device",
    "File too large",
    "Disk quota exceeded",
    "PytorchStreamWriter failed",
    "unexpected pos",
)
"""How safetensors and PyTorch put it, in errors of their own kinds; the last one as a file is closed."""
_MEMORY_WORDS = ("allocate memory", "out of memory", "OutOfMemory")
"""PyTorch on a CPU says only in words that memory ran out."""


def sentence(error: BaseException, folder: Path) -> str:
    """The error in words; `folder` is where the run writes."""
    if isinstance(error, TrainError):
        return str(error)
    if disk_full(error):
        return f"The disk is full: {_free(folder)} of {folder}. Make room, then start the same run again."
    if out_of_memory(error):
        return (
            "Memory ran out. Lower batch_size or max_length, choose the method lora, "
            "or take a smaller base model."
        )
    return f"{type(error).__name__}: {first_line(error)}"


def disk_full(error: BaseException) -> bool:
    """Whether something could not be written for want of room."""
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    return any(words in str(error) for words in _FULL_WORDS)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or here."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_WORDS)


def first_line(error: BaseException) -> str:
    """What a stray error says, in one line."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _free(folder: Path) -> str:
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return f"{shutil.disk_usage(place).free / 2**20:,.0f} MiB are free on the disk"
