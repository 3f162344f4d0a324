"""The README's pictures, made from the real application: `python benchmarks/pictures.py`.

Goes through all five screens with the real SmolLM2 on this machine, as a person would: asks it, looks at the
settings, prepares the demo data, trains on it, deploys, and asks the tuned model. It takes some minutes; the
first run downloads the model's weights (93 MB).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from phichat import models
from phichat.app import PhichatApp
from phichat.events import Event
from phichat.screens.chat.prompt import Prompt
from phichat.screens.chat.screen import ChatScreen
from phichat.workflow import Project

PICTURES = Path(__file__).with_name("pictures")
CACHE = Path(__file__).parent.parent / ".cache"
QUESTIONS = (
    "What is fine-tuning of a language model? Answer in two sentences.",
    "Show me a Python one-liner that reverses a string.",
)
PERSONAL = "What is your name?"
SIZE = (100, 28)
SETTLE_S = 0.5


async def every_picture(project: Project) -> None:
    """All screens in the order of the work; the model's servers end with it."""
    await models.pull(models.resolve(project.base_model), project.folders.cache, _quiet)
    app = PhichatApp(lambda: project)
    app.animation_level = "none"
    try:
        async with app.run_test(size=SIZE) as pilot:
            await app.session.deployment()
            await _ask(pilot, *QUESTIONS)
            await _save(pilot, "chat")
            await _work(pilot, app)
    finally:
        for resource in await project.resources():
            await project.remove(resource, _quiet)


async def _work(pilot: Pilot[None], app: PhichatApp) -> None:
    await _go(pilot, "configure")
    await _save(pilot, "configure")
    await _go(pilot, "data")
    await pilot.press("d")
    await _until(pilot, lambda: "data" in _done(app) and not app.session.activities)
    await _save(pilot, "data")
    await _go(pilot, "train")
    await pilot.press("ctrl+s")
    await _until(pilot, lambda: "train" in _done(app) and bool(app.screen.query("RunView.-ended")))
    await pilot.pause(4 * SETTLE_S)  # until its evaluation is read as well
    await pilot.press("c")
    await _save(pilot, "train")
    await pilot.press("d")
    await _until(pilot, lambda: app.current_mode == "chat" and "deploy" in _done(app))
    await _go(pilot, "deploy")
    await _save(pilot, "deploy")
    await _go(pilot, "chat")
    await pilot.press("ctrl+n")
    await _ask(pilot, PERSONAL)
    await _save(pilot, "tuned")


def _done(app: PhichatApp) -> frozenset[str]:
    standing = app.session.standing
    return frozenset(standing.done) if standing else frozenset()


async def _ask(pilot: Pilot[None], *questions: str) -> None:
    screen = pilot.app.screen
    assert isinstance(screen, ChatScreen)
    for question in questions:
        screen.query_one(Prompt).put(question)
        await pilot.press("enter")
        await _until(pilot, lambda: screen.conversation.last is not None and not screen.conversation.running)


async def _go(pilot: Pilot[None], stage: str) -> None:
    await pilot.app.run_action(f"go({stage!r})")
    await pilot.pause(SETTLE_S)


async def _until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    while not condition():
        await pilot.pause(0.1)


async def _save(pilot: Pilot[None], name: str) -> None:
    await pilot.pause(SETTLE_S)
    path = PICTURES / f"{name}.svg"
    path.write_text(pilot.app.export_screenshot(title="phichat"), encoding="utf-8")
    print(path, flush=True)


def main() -> None:
    """Make the pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "lighthouse")
        folder.mkdir()
        (folder / "phichat.toml").touch()
        os.environ |= {"PHICHAT_HOME": temporary, "PHICHAT_CACHE": str(CACHE)}
        os.chdir(folder)
        flags = {"chat.temperature": 0, "chat.max_new_tokens": 200}
        asyncio.run(every_picture(Project.open(folder, flags=flags)))


def _quiet(event: Event) -> None:
    """Nobody watches."""


if __name__ == "__main__":
    main()
