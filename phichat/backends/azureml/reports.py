"""Brings the reports of a run home as soon as it tells of them: they are read here, not in the storage."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.backends.azureml.assets import TOP
from phichat.backends.azureml.storage import stopping, uri
from phichat.errors import BackendError
from phichat.events import Artifact, Event

if TYPE_CHECKING:
    from phichat.backends.azureml.workspace import Workspace

NAMES = ("report.html", "result.json")
"""How the trainer calls them."""


class Reports:
    """Where the reports of runs are on this machine, each in a folder named as its run."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self._workspace = workspace
        self._folder = folder
        self._here: dict[str, Path] = {}

    async def home(self, event: Event) -> Event:
        """The event that tells of a report, with the place of its copy here; any other one as it is."""
        top = uri(f"{TOP}/runs")
        if not isinstance(event, Artifact) or event.name not in NAMES or not event.uri.startswith(top):
            return event
        path = event.uri.removeprefix(top)
        if path not in self._here:
            try:
                self._here[path] = await self._bring(path)
            except (BackendError, OSError):
                return event  # where it lies is better than nothing, and no reason to tell no more
        return event.model_copy(update={"uri": str(self._here[path])})

    async def _bring(self, path: str) -> Path:
        target = self._folder / path
        folder, _, name = f"{TOP}/runs/{path}".rpartition("/")
        storage = await self._workspace.storage()
        try:
            with stopping() as stop:

                def work() -> None:
                    blob = storage.found(folder).get(name)
                    if blob is None:
                        raise BackendError(f"The storage has no {path}.")
                    # Whatever is here of an earlier attempt may be as long, and something else.
                    with contextlib.suppress(FileNotFoundError):
                        target.unlink()
                    storage.download(f"{folder}/{name}", blob, target, _ignore, stop)

                await self._workspace.run(f"bring {name} here", work)
        finally:
            storage.close()
        return target


def _ignore(more: int) -> None:
    """For what is over at once."""
