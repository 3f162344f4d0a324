"""What is alive on this machine outside of projects: it was started where there was none, and is in none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from phichat.backends.base import Resource
from phichat.paths import OUTSIDE
from phichat.workflow.project import Project

HERE = "local"
"""The backend that is asked: its work is on this machine, and costs nobody a request."""


class Outside(NamedTuple):
    """What is alive, and the folder where commands are about it."""

    resources: Sequence[Resource]
    folder: Path

    def __str__(self) -> str:
        names = ", ".join(f"{each.kind} {each.name}" for each in self.resources)
        verb, them = ("is", "it") if len(self.resources) == 1 else ("are", "them")
        command = f"phichat down -C {self.folder} --backend {HERE}"
        return f"Outside of projects {names} {verb} alive. Stop {them}: {command}"


async def outside(project: Project) -> Outside | None:
    """What was started outside of projects and is alive; None: nothing, or one is outside oneself."""
    if project.root is None or not (project.folders.data / OUTSIDE / HERE).is_dir():
        return None
    folder = Path(project.root.anchor)
    environ, registry = project.loaded.environ, project.registry
    async with Project.open(folder, flags={"backend": HERE}, environ=environ, registry=registry) as elsewhere:
        alive = await elsewhere.resources() if elsewhere.root is None else []
    return Outside(alive, folder) if alive else None
