"""The workspace's blobs: folders go up and come down file by file, and what is there already stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from phichat.errors import BackendError

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

    from phichat.backends.azureml.credential import SignIn

DATASTORE = "workspaceblobstore"
"""The store that every workspace has from the beginning."""
BACKOFF_S = 1.0
"""Seconds until a failed request to the storage is made again; the library's own default is 15."""
GROWTH = 2
"""The base of what is added to them each time."""
CHUNK = 4 * 2**20
Told = Callable[[int], None]
"""Hears how many more bytes have been carried."""


class StoppedError(Exception):
    """Nobody waits for it any more."""


class Blob(NamedTuple):
    """One file in the storage."""

    size: int
    md5: bytes | None
    """None where nobody has computed it, as for what a job wrote into a mounted folder."""


class Storage:
    """One container. Everything here blocks: it is called in a thread."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    def url(self, prefix: str) -> str:
        """A folder as the service of code names it; without anything that opens it."""
        return f"{self._container.url.partition('?')[0]}/{prefix}"

    def found(self, prefix: str) -> dict[str, Blob]:
        """The files in a folder, by their path in it."""
        top = f"{prefix}/"
        return {
            blob.name.removeprefix(top): Blob(int(blob.size), _md5(blob))
            for blob in self._container.list_blobs(name_starts_with=top)
            if blob.size or "." in blob.name.rpartition("/")[2]  # a folder of its own has no bytes
        }

    def upload(self, prefix: str, files: Mapping[str, Path], told: Told, stop: threading.Event) -> None:
        """Bring files into a folder whose name changes with their content: one that is there is the same."""
        there = self.found(prefix)
        for name, path in sorted(files.items()):
            size = path.stat().st_size
            if name in there and there[name].size == size:
                told(size)
                continue
            with path.open("rb") as file:
                self._container.upload_blob(
                    f"{prefix}/{name}",
                    file,
                    length=size,
                    overwrite=True,
                    progress_hook=_following(told, stop),
                )

    def download(self, name: str, blob: Blob, target: Path, told: Told, stop: threading.Event) -> None:
        """Bring a file here; one that was cut off goes on where it ended.

        Raises:
            BackendError: what came is not what lies there.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file() and target.stat().st_size == blob.size:
            told(blob.size)
            return
        part = target.with_name(f"{target.name}.part")
        have = part.stat().st_size if part.is_file() else 0
        if have > blob.size:
            part.unlink()
            have = 0
        told(have)
        with part.open("ab") as file:
            if have < blob.size:
                for piece in self._container.download_blob(name, offset=have).chunks():
                    if stop.is_set():
                        raise StoppedError
                    file.write(piece)
                    told(len(piece))
        _verify(name, part, blob)
        part.replace(target)

    def head(self, name: str) -> bytes:
        """The beginning of a file, 64 KiB at most; nothing where there is no such file."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return bytes(self._container.download_blob(name, offset=0, length=2**16).readall())
        except ResourceNotFoundError:
            return b""

    def close(self) -> None:
        """Let go of connections."""
        self._container.close()


def uri(prefix: str) -> str:
    """A folder of the workspace's store as jobs and data assets name it."""
    return f"azureml://datastores/{DATASTORE}/paths/{prefix}/"


def opened(told: Mapping[str, Any], secrets: Mapping[str, Any], sign_in: SignIn) -> Storage:
    """The container of the workspace's store.

    Raises:
        BackendError: it is of a kind that is not blobs.
    """
    from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
    from azure.storage.blob import ContainerClient

    if told.get("datastoreType") != "AzureBlob":
        raise BackendError(f"The datastore {DATASTORE} holds no blobs.", "Choose another workspace.")
    account = told["accountName"]
    credential: Any = sign_in
    if secrets.get("sasToken"):
        credential = AzureSasCredential(secrets["sasToken"])
    elif secrets.get("key"):
        credential = AzureNamedKeyCredential(account, secrets["key"])
    address = f"https://{account}.blob.{told.get('endpoint') or 'core.windows.net'}"
    container = ContainerClient(
        address,
        told["containerName"],
        credential=credential,
        initial_backoff=BACKOFF_S,
        increment_base=GROWTH,
        retry_total=5,
        random_jitter_range=0,
        max_single_put_size=CHUNK,
        max_block_size=CHUNK,
        max_chunk_get_size=CHUNK,
        max_single_get_size=CHUNK,
    )
    return Storage(container)


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that is set when nobody waits any more, however that comes."""
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()


def _following(told: Told, stop: threading.Event) -> Callable[[int, int | None], None]:
    before = 0

    def follow(current: int, _total: int | None) -> None:
        nonlocal before
        if stop.is_set():
            raise StoppedError
        told(current - before)
        before = current

    return follow


def _verify(name: str, part: Path, blob: Blob) -> None:
    import hashlib

    fault = ""
    if part.stat().st_size != blob.size:
        fault = f"{part.stat().st_size} bytes came of {blob.size}"
    elif blob.md5 is not None:
        with part.open("rb") as file:
            if hashlib.file_digest(file, "md5").digest() != blob.md5:
                fault = "its checksum is another one"
    if fault:
        part.unlink()
        raise BackendError(f"The file {name} did not arrive whole: {fault}.", "Repeat the command.")


def _md5(blob: Any) -> bytes | None:
    found = blob.content_settings.content_md5
    return bytes(found) if found else None
