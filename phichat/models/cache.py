"""The cache of base models: whole folders, each with a marker of its files; partial ones beside them."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from phichat.errors import BackendError, ConfigError
from phichat.models.refs import ModelRef

MARKER = ".phichat-model.json"
_ABANDONED_SECONDS = 7 * 24 * 3600
"""A partial download that nobody has gone on with for so long is removed."""


class CachedFile(BaseModel):
    """One file of a cached model."""

    model_config = ConfigDict(frozen=True)

    path: str
    """Relative, with forward slashes."""
    bytes: int
    sha256: str


class Marker(BaseModel):
    """What a complete folder in the cache holds; written last, so that it proves the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    key: str
    title: str
    origin: str
    """The package and version, or the hub id and commit."""
    licence: str = ""
    files: tuple[CachedFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all files on disk."""
        return sum(file.bytes for file in self.files)


class Installed(BaseModel):
    """A complete model in the cache."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    path: Path
    bytes: int
    """On disk."""
    origin: str
    licence: str


def model_folder(key: str, cache: Path) -> Path:
    """Where a complete model lies."""
    return cache / "models" / key


def partial_folder(key: str, cache: Path) -> Path:
    """Where a model is put together; on the same file system as its place, so that a rename moves it."""
    return cache / "models" / ".partial" / key


def lock(key: str, cache: Path) -> FileLock:
    """The lock for putting a model together or removing it; the system frees it when its holder dies."""
    folder = cache / "models" / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{key}.lock")


def cached(ref: ModelRef, cache: Path) -> Path | None:
    """The model's folder if all of it is there, by the sizes of its files; else None."""
    if ref.folder:
        return ref.folder
    folder = model_folder(ref.key, cache)
    return folder if _complete(folder) else None


def installed(cache: Path) -> list[Installed]:
    """Every complete model in the cache, by name."""
    models = []
    for path in (cache / "models").glob(f"*/{MARKER}"):
        marker = _complete(path.parent)
        if marker:
            models.append(
                Installed(
                    name=marker.name,
                    title=marker.title,
                    path=path.parent,
                    bytes=marker.bytes,
                    origin=marker.origin,
                    licence=marker.licence,
                )
            )
    return sorted(models, key=lambda model: model.name)


def remove(ref: ModelRef, cache: Path) -> bool:
    """Delete a model, complete or partial, from the cache; whether there was anything to delete.

    Raises:
        ConfigError: it is a folder of the person's own, which is never deleted.
        BackendError: it is being downloaded, or in use.
    """
    if ref.folder:
        raise ConfigError(f"{ref.name} is a folder of your own and is not deleted.", "Delete it yourself.")
    # Other revisions that earlier versions knew by the same name have keys of their own.
    others = [model.path for model in installed(cache) if model.name == ref.name]
    folders = [model_folder(ref.key, cache), partial_folder(ref.key, cache), *others]
    if not any(folder.exists() for folder in folders):
        return False
    try:
        with lock(ref.key, cache).acquire(timeout=0):
            for folder in folders:
                discard(folder, cache)
    except Timeout:
        raise BackendError(f"{ref.title} is being downloaded.", "Stop that first.") from None
    except OSError as error:
        raise BackendError(
            f"{ref.title} cannot be deleted: {error.strerror or error}.",
            "Stop what uses it with 'phichat down'.",
        ) from error
    return True


def discard(folder: Path, cache: Path) -> None:
    """Delete a folder of the cache: it is gone at once, even if deleting takes long or breaks off."""
    if not folder.exists():
        return
    grave = cache / "models" / ".partial" / f"deleted-{uuid.uuid4().hex}"
    grave.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(grave)
    shutil.rmtree(grave, ignore_errors=True)


def clean(cache: Path, now: float | None = None) -> None:
    """Delete what deletions and abandoned downloads have left behind."""
    now = time.time() if now is None else now
    for folder in list(_partials(cache)):
        if folder.name.startswith("deleted-"):
            shutil.rmtree(folder, ignore_errors=True)
        elif now - _newest(folder) > _ABANDONED_SECONDS:
            # Gone meanwhile, or somebody is at it.
            with contextlib.suppress(Timeout, OSError), lock(folder.name, cache).acquire(timeout=0):
                discard(folder, cache)


def folder_bytes(folder: Path) -> int:
    """The size of all files below a folder that may be changing meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                total += path.stat().st_size
    return total


def _partials(cache: Path) -> Iterator[Path]:
    folder = cache / "models" / ".partial"
    if folder.is_dir():
        yield from folder.iterdir()


def _newest(folder: Path) -> float:
    times = [0.0]
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)


def _complete(folder: Path) -> Marker | None:
    try:
        marker = Marker.model_validate_json((folder / MARKER).read_bytes())
        sizes = [(folder / file.path).stat().st_size for file in marker.files]
    except (OSError, ValidationError):
        return None
    return marker if sizes == [file.bytes for file in marker.files] else None
