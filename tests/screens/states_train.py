"""The states of the screen Train, each reached the way a person reaches it."""

from __future__ import annotations

from textual.pilot import Pilot

from phichat.app import PhichatApp
from phichat.backends.base import Estimate
from phichat.events import Status
from phichat.screens.train.screen import TrainScreen
from phichat.workflow import Project
from tests.screens import schooling
from tests.screens.driving import phase, picture, until
from tests.screens.scripted import Script

ESTIMATE = Estimate(
    seconds=(180, 500),
    usd=(0, 0),
    memory_bytes=(1.2e9, 2.1e9),
    memory_free=14e9,
    source="from the model's size",
)


def train(pilot: Pilot[None]) -> TrainScreen:
    """The Train screen of a running application."""
    screen = pilot.app.screen
    assert isinstance(screen, TrainScreen)
    return screen


def project(pilot: Pilot[None]) -> Project:
    """The project that is open."""
    assert isinstance(pilot.app, PhichatApp)
    found = pilot.app.session.project
    assert found is not None
    return found


async def opened(pilot: Pilot[None], script: Script) -> None:
    """The project is open, and nobody has been to Train yet."""
    script.loaded.set()
    script.training = ESTIMATE
    await phase(pilot, "ready")


async def go(pilot: Pilot[None], place: str) -> None:
    """Go to Train, and wait until it shows what is wanted."""
    await pilot.press("alt+3")
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainScreen))
    await until(pilot, lambda: train(pilot).place == place)


async def setup(pilot: Pilot[None], script: Script) -> None:
    await opened(pilot, script)
    schooling.prepare(project(pilot))
    await go(pilot, "setup")


async def started(pilot: Pilot[None], script: Script) -> str:
    """A run has begun; returns its name."""
    await setup(pilot, script)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: train(pilot).place == "run")
    name = script.submitted[0].name
    schooling.begun_then(project(pilot), name)
    return name


async def running(pilot: Pilot[None], script: Script) -> None:
    name = await started(pilot, script)
    script.tell(name, *schooling.lessons())
    await until(pilot, lambda: "32 s left" in picture(pilot))


async def ended(pilot: Pilot[None], script: Script) -> None:
    """A run has ended, and was compared with the base model."""
    name = await started(pilot, script)
    script.tell(name, *schooling.lessons(24), *schooling.exam(project(pilot).state), schooling.DONE)
    await until(pilot, lambda: "It helped" in picture(pilot) and "2 min" in picture(pilot))


async def runs(pilot: Pilot[None], script: Script) -> None:
    """Three runs, of which two are drawn into one picture."""
    await opened(pilot, script)
    schooling.prepare(project(pilot))
    await schooling.history(project(pilot), script)
    await go(pilot, "setup")
    await pilot.press("escape")
    await until(pilot, lambda: train(pilot).place == "runs")
    await pilot.press("space", "down", "down", "space")


async def overlaid(pilot: Pilot[None], script: Script) -> None:
    await runs(pilot, script)
    await pilot.press("enter")
    await until(pilot, lambda: train(pilot).place == "run")
    await pilot.press("c")
    await until(pilot, lambda: "◆" in picture(pilot))


async def empty(pilot: Pilot[None], script: Script) -> None:
    """Nothing is prepared."""
    await opened(pilot, script)
    await pilot.press("alt+3")
    await until(pilot, lambda: "Prepare the demo" in picture(pilot))


async def failed(pilot: Pilot[None], script: Script) -> None:
    """A run has broken off in its middle."""
    name = await started(pilot, script)
    told = "The machine has not enough memory for this batch size."
    script.tell(name, *schooling.lessons(), Status(state="failed", detail=told, at=schooling.BEGUN + 60))
    await until(pilot, lambda: told[:20] in picture(pilot))


async def asked(pilot: Pilot[None], script: Script) -> None:
    """What costs money is asked about."""
    await opened(pilot, script)
    script.training = ESTIMATE.model_copy(update={"usd": (1.2, 3.4)})
    schooling.prepare(project(pilot))
    await go(pilot, "setup")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "Go on?" in picture(pilot))


STATES_TRAIN = {
    "train-empty": empty,
    "train-setup": setup,
    "train-asked": asked,
    "train-running": running,
    "train-failed": failed,
    "train-ended": ended,
    "train-runs": runs,
    "train-overlaid": overlaid,
}
