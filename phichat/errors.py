"""Every error that a person may see: one sentence of what happened, and one of what to do."""

from __future__ import annotations

import errno
import os
from pathlib import PurePath
from typing import ClassVar


class PhichatError(Exception):
    """Something went wrong that a person can do something about.

    `message` names the thing, the file or the key; `hint` is the next command to type, or empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[PhichatError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class ConfigError(PhichatError):
    """A flag, environment variable or config key is wrong: correct it and try again."""

    exit_code = 2


class DataError(PhichatError):
    """A dataset is missing or wrong: mend the named rows."""


class HistoryError(PhichatError):
    """The conversations cannot be read or kept: mend the named file, or make room for it."""


class UnreachableError(HistoryError):
    """Where the conversations lie nobody answers, or not now: the same call is worth trying again."""


class PluginError(PhichatError):
    """A backend plugin is broken: update or remove the named package."""


class BackendError(PhichatError):
    """The place where the work happens refused it or failed; the only error a backend may raise."""


class AuthError(BackendError):
    """Not signed in, or the sign-in expired, or the key is wrong: sign in again."""


class QuotaError(BackendError):
    """There is not enough room (quota, memory, budget): ask for more or choose a smaller size."""


class NotFoundError(BackendError):
    """The named job, deployment, model or conversation is not there: check the name."""


class UnavailableError(BackendError):
    """Nobody answers, or not now: the same call is worth trying again."""


class UnsupportedError(BackendError):
    """This backend cannot do that: use another backend, or do without."""


def of_the_disk(error: BaseException) -> PhichatError | None:
    """What a person can do about a disk that is full or a file that is not theirs; None for other errors."""
    if not isinstance(error, OSError):
        return None
    thing = _known_to_people(error.filename)
    where = f" for {thing}" if thing else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PhichatError(
            f"The disk is full: there is no room{where}.", "Free some room, and run it again."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) and thing:
        refused = "cannot be written" if error.errno == errno.EROFS else "is not yours to read or write"
        told = f"{thing} {refused}: {error.strerror}."
        return PhichatError(told, "Work in a folder that is yours; PHICHAT_HOME and PHICHAT_CACHE move ours.")
    return None


def _known_to_people(filename: object) -> str:
    """The file that an error is about, or its folder where it is a temporary or lock file of ours."""
    if not filename:
        return ""
    path = PurePath(os.fsdecode(filename) if isinstance(filename, bytes) else str(filename))
    return str(path.parent if path.suffix in (".tmp", ".lock") else path)
