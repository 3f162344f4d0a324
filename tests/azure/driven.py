"""The application on Azure, driven as a person drives it, with the stand-in behind the real backend."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from textual.pilot import Pilot

from phichat.app import PhichatApp
from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.base import Job
from phichat.runs import Run
from phichat.screens.deploy.screen import DeployScreen
from phichat.workflow import Project
from tests.azure.standin.cloud import SUBSCRIPTION
from tests.azure.training import spec_of
from tests.screens.driving import picture, until

CONFIG = """backend = "azureml"
base_model = "{base}"
[backends.azureml]
subscription_id = "{subscription}"
"""


def make_project(folder: Path, base: Path, more: str = "") -> Path:
    """A project on Azure, in the folder `lab` there."""
    place = folder / "lab"
    place.mkdir(exist_ok=True)
    text = CONFIG.format(base=base.as_posix(), subscription=SUBSCRIPTION) + more
    (place / "phichat.toml").write_text(text, encoding="utf-8")
    return place


@contextlib.asynccontextmanager
async def application(place: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[None]]:
    """The running application over a project."""
    app = PhichatApp(lambda: Project.open(place))
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.session.readiness.phase in ("ready", "failed"))
        await until(pilot, lambda: not app.session.looking)
        yield pilot


def project_of(pilot: Pilot[None]) -> Project:
    """The project that is open."""
    assert isinstance(pilot.app, PhichatApp)
    assert pilot.app.session.project is not None
    return pilot.app.session.project


def backend_of(project: Project) -> AzureMLBackend:
    """Its backend, the real one."""
    assert isinstance(project.backend, AzureMLBackend)
    return project.backend


def note(project: Project, folder: Path, job: Job) -> None:
    """Let the ledger know of a job that made a model."""
    run = Run(name=job.id, backend="azureml", spec=spec_of(folder, job.id), job=job, state="succeeded")
    project.training.ledger.write(run)


def deploy(pilot: Pilot[None]) -> DeployScreen:
    """The screen Deploy, which is shown."""
    screen = pilot.app.screen
    assert isinstance(screen, DeployScreen)
    return screen


async def shows(pilot: Pilot[None], *texts: str) -> None:
    """Wait until all of it is to be seen."""
    try:
        await until(pilot, lambda: all(text in picture(pilot) for text in texts))
    except AssertionError as error:
        missing = [text for text in texts if text not in picture(pilot)]
        raise AssertionError(f"{missing} is not in:\n{picture(pilot)}") from error
