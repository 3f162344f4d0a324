"""What stands in the way of the first answer: weights that are missing, a model that does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from phichat.app import PhichatApp
from phichat.errors import BackendError, ConfigError
from phichat.screens.choice import Choice
from phichat.screens.panels import Meter
from tests.screens.driving import ask, chat, phase, picture, prompt, settled, shown_answer, until, write
from tests.screens.scripted import Script, opener


@pytest.fixture
def bare(script: Script, folder: Path, cache: Path) -> PhichatApp:
    """The application on a machine without weights."""
    app = PhichatApp(opener(script, folder))
    app.animation_level = "none"
    return app


async def test_a_download_is_offered_with_its_size_and_not_begun(bare: PhichatApp, script: Script) -> None:
    async with bare.run_test() as pilot:
        await phase(pilot, "offered")
        seen = picture(pilot)
        assert "smollm2 is not on this machine yet." in seen
        assert "93 MB" in seen
        assert "^g Download" in seen
        assert "esc Not now" in seen
        assert "○ no model yet" in seen
        assert prompt(pilot).has_focus
        assert script.deploys == 0


async def test_a_download_shows_how_far_it_is(bare: PhichatApp, script: Script) -> None:
    async with bare.run_test() as pilot:
        await phase(pilot, "offered")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: script.deploys == 1)
        script.progress(49e6)
        await until(pilot, lambda: "Downloading SmolLM2 49 of 98 MB" in picture(pilot))
        bar = next(line for line in picture(pilot).splitlines() if "━" in line)
        assert bar.count("━") == pytest.approx(bar.count("┄"), abs=1)
        assert "downloading 49 of 98 MB" in picture(pilot).splitlines()[0]
        script.loaded.set()
        await phase(pilot, "ready")
        assert not pilot.app.screen.query(Meter)
        assert "Download" not in picture(pilot)


async def test_a_cancelled_download_can_be_tried_again_and_the_question_is_answered_then(
    bare: PhichatApp, script: Script
) -> None:
    async with bare.run_test() as pilot:
        await phase(pilot, "offered")
        await ask(pilot, "Who are you?")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: script.deploys == 1)
        script.progress(34e6)
        await until(pilot, lambda: "^g Cancel" in picture(pilot))
        await pilot.press("ctrl+g")
        await phase(pilot, "declined")
        assert script.cancelled_deploys == 1
        assert "phichat models pull smollm2" in picture(pilot)
        script.loaded.set()
        script.say("A keeper.")
        await pilot.press("ctrl+g")
        await settled(pilot)
        assert shown_answer(pilot) == "A keeper."


async def test_escape_first_takes_back_the_question_and_then_cancels_the_download(
    bare: PhichatApp, script: Script
) -> None:
    async with bare.run_test() as pilot:
        await phase(pilot, "offered")
        await ask(pilot, "Who are you?")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: script.deploys == 1)
        script.progress(34e6)
        await until(pilot, lambda: "Downloading" in picture(pilot))
        await pilot.press("escape")
        assert prompt(pilot).text == "Who are you?"
        assert script.cancelled_deploys == 0
        await pilot.press("escape")
        await phase(pilot, "declined")


async def test_who_refuses_has_a_usable_application_that_says_how_to_go_on(
    bare: PhichatApp, script: Script
) -> None:
    async with bare.run_test() as pilot:
        await phase(pilot, "offered")
        await pilot.press("escape")
        await phase(pilot, "declined")
        await write(pilot, "still here")
        assert prompt(pilot).text == "still here"
        seen = picture(pilot)
        assert "Without smollm2 nobody can answer." in seen
        assert "phichat models pull smollm2" in seen
        assert "^g Download" in seen
        assert script.deploys == 0


@pytest.mark.parametrize("how", ["mouse", "keyboard"])
async def test_a_choice_can_be_pressed(bare: PhichatApp, script: Script, how: str) -> None:
    async with bare.run_test() as pilot:
        await phase(pilot, "offered")
        if how == "mouse":
            await pilot.click(Choice)
        else:
            await pilot.press("shift+tab", "shift+tab", "enter")
        await until(pilot, lambda: script.deploys == 1)


async def test_a_model_that_does_not_start_says_why_and_can_be_started_again(
    app: PhichatApp, script: Script
) -> None:
    script.deploy_error = BackendError("Not enough memory for smollm2.", "Close other programs.")
    script.loaded.set()
    async with app.run_test() as pilot:
        await phase(pilot, "failed")
        seen = picture(pilot)
        assert "✗ Not enough memory for smollm2." in seen
        assert "Close other programs." in seen
        assert "✗ failed" in seen.splitlines()[0]
        script.deploy_error = None
        await pilot.press("ctrl+r")
        await phase(pilot, "ready")
        assert "✗" not in picture(pilot)


async def test_a_stray_exception_while_the_model_starts_closes_nothing(
    app: PhichatApp, script: Script
) -> None:
    script.deploy_error = ZeroDivisionError("division by zero")
    script.loaded.set()
    async with app.run_test() as pilot:
        await phase(pilot, "failed")
        assert "ZeroDivisionError: division by zero" in picture(pilot)


async def test_a_wrong_config_is_one_sentence_and_read_again_when_mended(
    script: Script, folder: Path, weights: None
) -> None:
    (folder / "phichat.toml").write_text("backnd = 'local'\n", encoding="utf-8")
    script.loaded.set()
    async with PhichatApp(opener(script, folder)).run_test(size=(120, 30)) as pilot:
        await phase(pilot, "failed")
        assert isinstance(chat(pilot).session.readiness.problem, ConfigError)
        assert "backnd" in picture(pilot)
        (folder / "phichat.toml").write_text("", encoding="utf-8")
        await pilot.press("ctrl+r")
        await phase(pilot, "ready")


async def test_a_model_that_fails_under_a_waiting_question_answers_it_once_it_works(
    app: PhichatApp, script: Script
) -> None:
    script.deploy_error = BackendError("Not now.")
    async with app.run_test() as pilot:
        await ask(pilot, "Who are you?")
        script.loaded.set()
        await phase(pilot, "failed")
        script.deploy_error = None
        script.say("A keeper.")
        await pilot.press("ctrl+r")
        await settled(pilot)
        assert shown_answer(pilot) == "A keeper."


async def test_a_panel_of_many_lines_leaves_the_prompt_in_sight(app: PhichatApp, script: Script) -> None:
    script.deploy_error = BackendError("\n".join(f"line {number}" for number in range(60)))
    script.loaded.set()
    async with app.run_test() as pilot:
        await phase(pilot, "failed")
        await until(pilot, lambda: "line 1" in picture(pilot))
        assert prompt(pilot).region.bottom == 22
        assert "^r Try again" in picture(pilot)
