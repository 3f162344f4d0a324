"""Brings a trained model home: file by file, resumable, and checked before it takes its place."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.backends.absent import no_model
from phichat.backends.azureml.command import run_folder
from phichat.backends.azureml.storage import stopping
from phichat.errors import BackendError
from phichat.events import Progress, Step
from phichat.models.refs import fault_of

if TYPE_CHECKING:
    from phichat.backends.azureml.jobs import Jobs
    from phichat.backends.azureml.storage import Blob, Storage
    from phichat.backends.azureml.workspace import Workspace
    from phichat.backends.base import Report

FACTS = "phichat.json"
"""What the trainer writes into every model that it makes."""


async def fetch(workspace: Workspace, jobs: Jobs, name: str, directory: Path, report: Report) -> Path:
    """Bring the model that a run has made; what stands there is replaced when all of it is here.

    Raises:
        NotFoundError: there is no such run, or it has made no model.
    """
    last = (await jobs.attempts(name))[-1]
    report(Step(name="fetch", state="running", detail=str(directory)))
    if await asyncio.to_thread(_holds_something_else, directory):
        raise BackendError(f"{directory} is not empty, and is no model of phichat's.", "Name another folder.")
    storage = await workspace.storage()
    try:
        top = f"{run_folder(name)}/model"
        found = await workspace.run("list the model's files", lambda: storage.found(top))
        if FACTS not in found:
            raise no_model(name, last.state)
        # Beside the target, and named after the run: what is half there is found again.
        partial = directory.with_name(f".{directory.name}.{name}.partial")
        await _bring(workspace, storage, top, found, partial, report)
        await asyncio.to_thread(_take_place, partial, directory, set(found))
    except OSError as error:
        told = f"The model cannot be written to {directory}: {error.strerror}."
        raise BackendError(told, "Name another folder, or make room.") from error
    finally:
        storage.close()
    report(Step(name="fetch", state="done", detail=str(directory)))
    return directory


async def _bring(
    workspace: Workspace, storage: Storage, top: str, found: dict[str, Blob], partial: Path, report: Report
) -> None:
    total, carried = sum(blob.size for blob in found.values()), 0
    loop = asyncio.get_running_loop()

    def told(more: int) -> None:
        nonlocal carried
        carried += more
        loop.call_soon_threadsafe(report, Progress(what="model", done=carried, total=total, unit="bytes"))

    def work() -> None:
        for relative, blob in sorted(found.items()):
            storage.download(f"{top}/{relative}", blob, partial / relative, told, stop)

    with stopping() as stop:
        await workspace.run("bring the model here", work)


def _take_place(partial: Path, directory: Path, names: set[str]) -> None:
    for path in [path for path in partial.rglob("*") if path.is_file()]:
        if path.relative_to(partial).as_posix() not in names:
            path.unlink()
    fault = fault_of(partial)
    if fault:
        shutil.rmtree(partial, ignore_errors=True)
        raise BackendError(f"The model did not arrive whole: {fault}.", "Repeat the command.")
    shutil.rmtree(directory, ignore_errors=True)
    partial.rename(directory)


def _holds_something_else(directory: Path) -> bool:
    """Whether replacing a folder would lose what is not ours."""
    return directory.is_dir() and any(directory.iterdir()) and not (directory / FACTS).is_file()
