"""One file of the hub: a broken download goes on where it stopped; what has come is checked by its hash."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phichat.errors import BackendError, UnavailableError
from phichat.models.files import sha256_of

RETRY_AFTER_SECONDS = (0.5, 1.0)
"""Pauses between attempts that bring nothing new; then it is given up."""
_TIMEOUT_SECONDS = 30
_READ = 1 << 20


@dataclass(frozen=True)
class HubFile:
    """One file as the hub lists it."""

    name: str
    size: int
    sha256: str | None
    """Of large files."""
    git_sha1: str | None
    """Of small files: git's hash of a blob."""


def download(
    file: HubFile, url: str, headers: Mapping[str, str], part: Path, progress: Callable[[int], None]
) -> None:
    """Bring all of a file into `part`, from the byte on that it already has; `progress` gets new bytes.

    huggingface_hub itself (2.4) starts every file anew when its process was ended.

    Raises:
        UnavailableError: the connection breaks again and again; what has come is kept.
        BackendError: what has come is not the listed file; it is deleted.
    """
    failures = 0
    while (have := _have(part, file.size)) < file.size:
        try:
            _append(url, headers, part, have, progress)
        except Exception as error:
            if not is_connection_error(error):
                raise
        if _have(part, file.size) > have:
            failures = 0
        elif failures == len(RETRY_AFTER_SECONDS):
            raise UnavailableError(
                f"The download of {file.name} broke off; what has come is kept.",
                "Check the network and run it again: it goes on where it stopped.",
            )
        else:
            time.sleep(RETRY_AFTER_SECONDS[failures])
            failures += 1
    _verify(file, part)


def _have(part: Path, size: int) -> int:
    """The bytes that are there; what is longer than the whole file is worth nothing."""
    if not part.exists():
        part.touch()
    if part.stat().st_size > size:
        part.unlink()
        part.touch()
    return part.stat().st_size


def _append(
    url: str, headers: Mapping[str, str], part: Path, start: int, progress: Callable[[int], None]
) -> None:
    from huggingface_hub import get_session, hf_raise_for_status

    asked = {**headers, "Accept-Encoding": "identity"}
    if start:
        asked["Range"] = f"bytes={start}-"
    with get_session().stream("GET", url, headers=asked, timeout=_TIMEOUT_SECONDS) as response:
        if response.status_code in (408, 429) or response.status_code >= 500:
            return
        hf_raise_for_status(response)
        partial = response.status_code == 206
        if start and not partial:
            progress(-start)
        with part.open("ab" if partial else "wb") as file:
            for piece in response.iter_bytes():
                # Unbuffered: what a kill leaves behind is what has come.
                file.write(piece)
                file.flush()
                progress(len(piece))
            os.fsync(file.fileno())


def _verify(file: HubFile, part: Path) -> None:
    expected = file.sha256 or file.git_sha1
    if expected and expected != (sha256_of(part) if file.sha256 else _git_sha1(part)):
        part.unlink()
        raise BackendError(f"{file.name} arrived damaged and was deleted.", "Run it again.")


def _git_sha1(path: Path) -> str:
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_READ):
            digest.update(piece)
    return digest.hexdigest()


def is_connection_error(error: BaseException) -> bool:
    """Whether the network failed: huggingface_hub brings httpx under one name or another."""
    return any(cls.__name__ == "TransportError" for cls in type(error).__mro__)


def listed(sibling: Any) -> HubFile:
    """A file of the hub's listing of a repository."""
    return HubFile(
        name=sibling.rfilename,
        size=sibling.size,
        sha256=sibling.lfs.sha256 if sibling.lfs else None,
        git_sha1=None if sibling.lfs else sibling.blob_id,
    )
