"""The example plugin in the application: from no data to a chat, by keyboard alone."""

from __future__ import annotations

from pathlib import Path

from phichat.app import PhichatApp
from phichat.screens.train.screen import TrainScreen
from phichat.workflow import Project
from tests.screens.driving import ask, chat, picture, settled, until


async def test_one_line_of_the_project_takes_it_from_data_to_a_chat(tmp_path: Path) -> None:
    (tmp_path / "phichat.toml").write_text('backend = "markov"\n', encoding="utf-8")
    app = PhichatApp(lambda: Project.open(tmp_path))
    app.animation_level = "none"
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.session.readiness.phase == "failed")
        assert "Train one first" in picture(pilot), "a Markov chain has no model to begin with"
        await pilot.press("alt+3")
        await until(pilot, lambda: "Prepare the demo" in picture(pilot))
        await pilot.press("p")
        await until(pilot, lambda: "demo · " in picture(pilot))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "✓ succeeded" in picture(pilot))
        screen = app.screen
        assert isinstance(screen, TrainScreen) and screen.view.run
        trained = screen.view.run.name
        await pilot.press("d")
        await until(pilot, lambda: app.current_mode == "chat" and app.session.readiness.phase == "ready")
        await ask(pilot, "What is your name?")
        await settled(pilot)
        (turn,) = chat(pilot).conversation.turns
        assert turn.state == "done" and turn.answer.strip()
        await pilot.press("alt+4")
        await until(pilot, lambda: "● healthy" in picture(pilot))
        assert trained in picture(pilot)
        assert "Log" not in picture(pilot), "what a backend cannot do is not offered"
