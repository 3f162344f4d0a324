"""The states of the screen Deploy, each reached the way a person reaches it."""

from __future__ import annotations

from textual.pilot import Pilot

from phichat.backends.base import Deployment, DeploymentState, Resource
from phichat.errors import UnavailableError
from phichat.events import Progress, Step
from phichat.screens.deploy import DeployScreen, Place
from tests.screens import schooling
from tests.screens.driving import picture, until
from tests.screens.scripted import Script
from tests.screens.states_train import opened, project


def deploy(pilot: Pilot[None]) -> DeployScreen:
    """The Deploy screen of a running application."""
    screen = pilot.app.screen
    assert isinstance(screen, DeployScreen)
    return screen


async def go(pilot: Pilot[None], place: Place = "list") -> None:
    """Go to Deploy, and wait until it shows what is wanted."""
    await pilot.press("alt+4")
    await until(pilot, lambda: isinstance(pilot.app.screen, DeployScreen))
    await until(pilot, lambda: deploy(pilot).place == place)


def serve(script: Script) -> None:
    """Two deployments are there, one of which has stopped."""
    script.deployed = [
        DeploymentState(deployment=Deployment(id="smollm2"), healthy=True, model="smollm2"),
        DeploymentState(
            deployment=Deployment(id="first"),
            healthy=False,
            model="first",
            detail="starts again with the next question",
        ),
    ]
    script.alive = [Resource(kind="server", name="smollm2", state="ready", usd_per_hour=0.45)]


async def listed(pilot: Pilot[None], script: Script) -> None:
    await opened(pilot, script)
    serve(script)
    await go(pilot)


async def choosing(pilot: Pilot[None], script: Script) -> None:
    await opened(pilot, script)
    serve(script)
    schooling.prepare(project(pilot))
    await schooling.history(project(pilot), script)
    await go(pilot)
    await pilot.press("n")


async def deploying(pilot: Pilot[None], script: Script) -> None:
    """The newest run is being deployed."""
    await choosing(pilot, script)
    script.loaded.clear()
    script.deploying.clear()
    await pilot.press("enter")
    await until(pilot, script.deploying.is_set)
    script.report(Step(name="model", state="reused", detail="third"))
    script.report(Step(name="server", state="running", detail="third on 127.0.0.1"))
    script.report(Progress(what="reading weights", done=120, total=272, unit="tensors"))
    await until(pilot, lambda: "120 of 272" in picture(pilot))


async def failed(pilot: Pilot[None], script: Script) -> None:
    await deploying(pilot, script)
    script.deploy_error = UnavailableError("The model's server ended before it was ready.", "phichat check")
    script.report(Step(name="server", state="failed", detail="third on 127.0.0.1"))
    script.loaded.set()
    await until(pilot, lambda: "phichat check" in picture(pilot))


STATES_DEPLOY = {
    "deploy-deploying": deploying,
}
