"""The states of Configure, of its set-up and of going elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual.pilot import Pilot

from phichat.backends.base import Check
from phichat.screens.configure.page import PAGES
from phichat.screens.configure.screen import ConfigureScreen
from tests.screens.driving import phase, picture, until, write
from tests.screens.scripted import Script

CHECKS = [
    Check(name="packages", ok=True, detail="torch, transformers, trl"),
    Check(name="memory", ok=False, detail="0.9 GiB free; SmolLM2 needs 1.5", fix="Close other programs."),
    Check(name="sign-in", ok=False, detail="Nobody is signed in.", fix="az login"),
]


def configure(pilot: Pilot[None]) -> ConfigureScreen:
    screen = pilot.app.screen
    assert isinstance(screen, ConfigureScreen)
    return screen


async def configuring(pilot: Pilot[None], script: Script, page: str = "backend") -> None:
    script.loaded.set()
    await phase(pilot, "ready")
    await pilot.press("alt+1")
    await until(pilot, lambda: "This machine" in picture(pilot))
    await pilot.press(*["down"] * list(PAGES).index(page))


async def choosing_a_model(pilot: Pilot[None], script: Script) -> None:
    await configuring(pilot, script, "model")
    await pilot.press("right")


async def editing(pilot: Pilot[None], script: Script) -> None:
    await configuring(pilot, script, "chat")
    await pilot.press("right", "down")
    await write(pilot, "3")
    await until(pilot, lambda: "It must be at most 2, not 3." in picture(pilot))


async def many_settings(pilot: Pilot[None], script: Script) -> None:
    await configuring(pilot, script, "train")
    await pilot.press("right", "right")


async def checked(pilot: Pilot[None], script: Script) -> None:
    script.checks = CHECKS
    await configuring(pilot, script)
    await pilot.press("f5")
    await until(pilot, lambda: "1 of 3 are in place." in picture(pilot))


async def checking(pilot: Pilot[None], script: Script) -> None:
    script.checking = asyncio.Event()
    await configuring(pilot, script)
    await pilot.press("f5")
    await until(pilot, lambda: "Checking what the backend local needs" in picture(pilot))


async def going(pilot: Pilot[None], script: Script) -> None:
    script.loaded.set()
    await phase(pilot, "ready")
    await pilot.press("f9")


async def welcomed(pilot: Pilot[None], script: Script) -> None:
    """The first start, on a machine without weights."""
    await phase(pilot, "offered")
    project = pilot.app.screen.session.project  # type: ignore[attr-defined]
    project.loaded.__dict__.update(project=None, cwd=Path("/home/ada/lighthouse"))
    await pilot.app.run_action("app.setup(True)")
    await until(pilot, lambda: "phi-4" in picture(pilot))


WELCOME = {"welcomed": welcomed}
STATES_CONFIGURE = {
    "configuring": configuring,
    "choosing_a_model": choosing_a_model,
    "mending": editing,
    "many_settings": many_settings,
    "checking": checking,
    "checked": checked,
    "going": going,
}
