"""The application as a whole: its first frame, its keys and colours, and the real model behind it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from phichat import app as application
from phichat.app import PhichatApp
from phichat.backends.base import Deployment, DeploymentState
from phichat.workflow import Project
from tests.screens.driving import ask, chat, phase, picture, prompt, settled, shown_answer, until
from tests.screens.scripted import Script, have_weights, opener


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def app(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PhichatApp:
    monkeypatch.setenv("PHICHAT_CACHE", str(tmp_path / "cache"))
    have_weights(tmp_path / "cache")
    (tmp_path / "phichat.toml").touch()
    script.loaded.set()
    return PhichatApp(opener(script, tmp_path))


async def test_the_first_frame_takes_keys_before_the_project_is_open(tmp_path: Path) -> None:
    def never() -> Project:
        raise AssertionError("The first frame waited for the project.")

    app = PhichatApp(never)
    app._begin = lambda: None  # type: ignore[method-assign]
    async with app.run_test() as pilot:
        await pilot.press("H", "i")
        assert prompt(pilot).text == "Hi"
        assert "opening" in picture(pilot)


async def test_theme_and_keys_come_from_the_config(
    app: PhichatApp, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_THEME", "phichat-light")
    config = Path(os.environ["PHICHAT_HOME"]) / "config" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[keys]\n"prompt.send" = "f10"\n', encoding="utf-8")
    async with app.run_test() as pilot:
        await phase(pilot, "ready")
        assert app.theme == "phichat-light"
        script.say("Hello.")
        await pilot.press("H", "i", "enter")
        assert prompt(pilot).text == "Hi"
        assert "f10 Send" in picture(pilot)
        await pilot.press("f10")
        await settled(pilot)
        assert shown_answer(pilot) == "Hello."


async def test_a_theme_that_does_not_exist_is_said_and_closes_nothing(
    app: PhichatApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_THEME", "solar")
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await until(pilot, lambda: "There is no theme 'solar'" in picture(pilot))
        assert app.theme == "phichat-dark"


async def test_the_first_frame_of_the_next_start_has_the_theme_of_this_one(app: PhichatApp) -> None:
    async with app.run_test() as pilot:
        await phase(pilot, "ready")
        app.theme = "phichat-light"
        await pilot.pause()
    again = PhichatApp(lambda: pytest.fail("It is not running."))
    assert again.theme == "phichat-light"


async def test_the_palette_has_every_action_that_is_possible_and_no_other(
    app: PhichatApp, script: Script
) -> None:
    async with app.run_test() as pilot:
        await phase(pilot, "ready")
        offered = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Send", "New line", "Help", "Quit", "Theme", "Screenshot"} <= offered
        assert not {"Stop", "Copy", "Try again", "New chat", "Download", "Cursor left"} & offered
        script.say("Yes.")
        await ask(pilot, "Well?")
        await settled(pilot)
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        assert {"Copy", "New chat"} <= set(commands)
        result = commands["New chat"].callback()
        assert result is not None
        await result
        assert not chat(pilot).conversation.turns


async def test_help_is_about_what_has_the_focus(app: PhichatApp, script: Script) -> None:
    async with app.run_test(size=(80, 50)) as pilot:
        await phase(pilot, "ready")
        await pilot.press("f1")
        assert "It is kept while the model loads" in picture(pilot)
        assert "Send the question to the model." in picture(pilot)
        await pilot.press("escape")
        script.say("Yes.")
        await ask(pilot, "Well?")
        await settled(pilot)
        await pilot.press("shift+tab", "f1")
        assert "Copy this message as it was written." in picture(pilot)


@pytest.mark.parametrize("how", ["well", "with an error", "never"])
async def test_quitting_lets_go_of_the_backend_but_does_not_wait_for_it(
    app: PhichatApp, script: Script, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(application, "CLOSE_S", 0.01)
    script.closing = {"never": asyncio.Event().wait, "with an error": fail}.get(how, script.closing)
    async with app.run_test() as pilot:
        await phase(pilot, "ready")
        await pilot.press("ctrl+q")
    assert app.return_code == 0
    assert script.closed


async def fail() -> None:
    raise OSError("The cloud has gone.")


def test_nothing_that_the_first_frame_does_not_need_is_loaded_for_it() -> None:
    code = "import sys, phichat.app; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "pydantic",
        "httpx",
        "markdown_it",
        "tomlkit",
        "phichat.config",
        "phichat.workflow",
        "torch",
        "keyring",
    }
    assert not heavy & set(loaded)


async def test_the_real_model_answers(smollm2: Path, tmp_path: Path) -> None:
    flags = {"chat.temperature": 0, "chat.max_new_tokens": 12}
    try:
        async with PhichatApp(lambda: Project.open(tmp_path, flags=flags)).run_test() as pilot:
            await ask(pilot, "What is the capital of France?")
            await phase(pilot, "ready")
            await settled(pilot)
            assert "Paris" in shown_answer(pilot)
    finally:
        async with Project.open(tmp_path) as project:
            for resource in await project.resources():
                await project.remove(resource, lambda event: None)


async def test_what_is_over_its_time_is_told_at_the_start(
    app: PhichatApp, script: Script, tmp_path: Path
) -> None:
    gone = DeploymentState(deployment=Deployment(id="an-old-one"), healthy=True, until=0.0)
    opener(script, tmp_path)().serving.lifetimes.seen([gone])
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        # The toast is as wide as it may be, and breaks its line where that ends.
        await until(pilot, lambda: "--expired" in picture(pilot))
        assert "and may cost on: phichat down" in picture(pilot)
        assert "an-old-one is over its time since 1970" in picture(pilot)
