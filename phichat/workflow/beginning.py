"""The first start: whether somebody begins here, and what each model would need on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from phichat.backends.base import Estimate, Job
from phichat.config.schema import PERSONAL
from phichat.errors import PhichatError
from phichat.paths import Folders, write_atomic
from phichat.workflow.project import Project

NEW_FOLDER = "my-project"
"""Where a project is made in a folder that holds other things already."""


async def first_start(project: Project) -> bool:
    """Whether nothing is configured, deployed or said yet, and nobody was asked what they want."""
    chosen = [entry for entry in project.loaded.entries if entry.key[0] not in PERSONAL]
    if project.root or chosen or _asked(project.folders).exists():
        return False
    with contextlib.suppress(PhichatError):
        page = await project.history.page(limit=1)
        current = await project.serving.current()
        # The base model is made ready without anybody asking for it.
        return not page.conversations and not (current and isinstance(current[1], Job))
    return False


def remember(folders: Folders) -> None:
    """Note that this person was asked, and need not be again.

    Raises:
        OSError: it cannot be written.
    """
    write_atomic(_asked(folders), "")


async def needs(project: Project, models: Sequence[str]) -> dict[str, Estimate]:
    """What it would take to chat with each model on the project's backend, where that can say."""
    found = {}
    for model in models:
        with contextlib.suppress(PhichatError):
            found[model] = await project.estimate(project.serving.spec(model))
    return found


def likely_folder(cwd: Path) -> Path:
    """Where a project probably belongs: the folder one is in if it is empty, else a new one in it."""
    with contextlib.suppress(OSError):
        if all(path.name.startswith(".") for path in cwd.iterdir()) and cwd != Path.home():
            return cwd
    return cwd / NEW_FOLDER


def _asked(folders: Folders) -> Path:
    return folders.data / "asked"
