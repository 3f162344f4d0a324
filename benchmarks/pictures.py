"""The README's picture, made from the real application: `python benchmarks/pictures.py`.

Asks the real SmolLM2 through the local backend, with greedy decoding, and saves what the screen then shows.
The first run downloads the model's weights (93 MB).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from phichat import models
from phichat.app import PhichatApp
from phichat.events import Event
from phichat.screens.chat import ChatScreen
from phichat.screens.prompt import Prompt
from phichat.workflow import Project

PICTURE = Path(__file__).with_name("pictures") / "chat.svg"
CACHE = Path(__file__).parent.parent / ".cache"
QUESTIONS = (
    "What is fine-tuning of a language model? Answer in two sentences.",
    "Show me a Python one-liner that reverses a string.",
)
SIZE = (100, 28)


async def chat(project: Project) -> str:
    """The picture of questions that were answered; the model's server ends with it."""
    await models.pull(models.resolve(project.base_model), project.folders.cache, _quiet)
    try:
        return await _picture(project)
    finally:
        for resource in await project.resources():
            await project.remove(resource, _quiet)


async def _picture(project: Project) -> str:
    app = PhichatApp(lambda: project)
    app.animation_level = "none"
    async with app.run_test(size=SIZE) as pilot:
        await app.session.deployment()
        screen = app.screen
        assert isinstance(screen, ChatScreen)
        for question in QUESTIONS:
            screen.query_one(Prompt).put(question)
            await pilot.press("enter")
            while screen.conversation.last is None or screen.conversation.running:
                await pilot.pause(0.1)
            await pilot.pause(0.5)
        return app.export_screenshot(title="phichat")


def main() -> None:
    """Make the picture."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "lighthouse")
        folder.mkdir()
        (folder / "phichat.toml").touch()
        os.environ |= {"PHICHAT_HOME": temporary, "PHICHAT_CACHE": str(CACHE)}
        flags = {"chat.temperature": 0, "chat.max_new_tokens": 200}
        picture = asyncio.run(chat(Project.open(folder, flags=flags)))
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture, encoding="utf-8")
    print(PICTURE)


def _quiet(event: Event) -> None:
    """Nobody watches."""


if __name__ == "__main__":
    main()
