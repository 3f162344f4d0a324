"""The flow server on the screens: set up, started, chatted through, evaluated, stopped."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from phichat.backends.base import Access, Deployment
from phichat.flowrunner.promptflow import RETIRED
from phichat.screens.chat.answerers import AnswererScreen
from phichat.screens.deploy.screen import DeployScreen
from tests.flows.conftest import free_port
from tests.flows.upstream import KEY, deployed
from tests.screens import schooling
from tests.screens.driving import ask, picture, settled, shown_answer, until
from tests.screens.scripted import Script
from tests.screens.states_deploy import go, serve
from tests.screens.states_flow import evaluated, failed, flows, offered, screen, serving
from tests.screens.states_train import opened, project


async def shows(pilot: Pilot[None], *texts: str) -> None:
    """Wait until all of it is to be seen."""
    await until(pilot, lambda: all(text in picture(pilot) for text in texts))


async def test_the_retirement_is_told_where_prompt_flow_is_offered_and_nowhere_else(
    pilot: Pilot[None], script: Script
) -> None:
    await serving(pilot, script)
    assert RETIRED not in picture(pilot)
    await pilot.press("x")
    await shows(pilot, "○ does not run")
    assert RETIRED not in picture(pilot)
    (flows(pilot).environment.folder / "ready").unlink()
    await pilot.press("ctrl+r")
    await shows(pilot, RETIRED, "u Set up Prompt flow", "p Use the plain engine")
    assert "s Start" not in picture(pilot)
    await pilot.press("p")
    await shows(pilot, "s Start")
    assert RETIRED not in picture(pilot)


async def test_the_chats_go_through_the_server_and_back(pilot: Pilot[None], script: Script) -> None:
    await serving(pilot, script)
    await pilot.press("c")
    await until(pilot, lambda: pilot.app.current_mode == "chat")
    await shows(pilot, "through the flow")
    await ask(pilot, "Who are you?")
    await settled(pilot)
    assert shown_answer(pilot) == "Through the flow: Who are you?"
    assert script.asked == []
    await pilot.press("f5")
    await shows(pilot, "Deployment   smollm2", "▸ Flow server  http://127.0.0.1:8080, over smollm2")
    await pilot.press("up", "enter")
    script.say("Without it.")
    await ask(pilot, "And now?")
    await settled(pilot)
    assert shown_answer(pilot) == "Without it."


async def test_a_flow_server_that_does_not_run_cannot_be_chosen(pilot: Pilot[None], script: Script) -> None:
    await opened(pilot, script)
    await pilot.press("f5")
    await shows(pilot, "Flow server  does not run")
    await pilot.press("down", "enter")
    await until(pilot, lambda: not isinstance(pilot.app.screen, AnswererScreen))
    script.say("Here.")
    await ask(pilot, "Who is it?")
    await settled(pilot)
    assert shown_answer(pilot) == "Here."


async def test_a_server_that_is_stopped_leaves_the_chats_to_the_deployment(
    pilot: Pilot[None], script: Script
) -> None:
    await serving(pilot, script)
    await pilot.press("c")
    await until(pilot, lambda: pilot.app.current_mode == "chat")
    await pilot.press("alt+4")
    await shows(pilot, "with the flow server", "d Chat without it")
    await pilot.press("x")
    await shows(pilot, "The flow server is stopped.", "with the deployment")
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, DeployScreen))


async def test_a_taken_port_offers_the_next_one(pilot: Pilot[None], script: Script) -> None:
    await failed(pilot, script)
    flows(pilot).refusal = None
    await pilot.press("ctrl+g")
    await shows(pilot, "● http://127.0.0.1:8081, over smollm2")
    assert "Take port" not in picture(pilot)


async def test_its_evaluation_stands_beside_that_of_phichat_eval(pilot: Pilot[None], script: Script) -> None:
    await evaluated(pilot, script)
    lines = {line.strip().partition("  ")[0]: line.split() for line in picture(pilot).split("\n")}
    assert lines["F1"][-3:] == ["-", "-", "88%"]
    assert lines["Perplexity"][-3:] == ["20.090", "4.140", "-"]
    await pilot.press("end")
    await shows(pilot, "by phichat eval of first", "line 1: The model cannot take 9000 tokens.")


async def test_without_held_out_rows_the_evaluation_says_so(pilot: Pilot[None], script: Script) -> None:
    await offered(pilot, script)
    await pilot.press("p", "e")
    await shows(pilot, "✗ No rows are held out to evaluate on.")
    assert not screen(pilot).busy


async def test_on_the_real_plain_server(
    pilot: Pilot[None], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(pilot, script)
    serve(script)
    schooling.prepare(project(pilot), held_out=2)
    with deployed() as upstream:

        async def access(deployment: Deployment) -> Access:
            return Access(base_url=upstream.url, key=KEY)

        project(pilot).backend.access = access  # type: ignore[method-assign]
        port = free_port()
        monkeypatch.setattr("phichat.screens.flow.screen.PORT", port)
        await go(pilot)
        await pilot.press("f")
        await shows(pilot, "p Use the plain engine")
        await pilot.press("p", "s")
        try:
            await shows(pilot, f"● http://127.0.0.1:{port}, over smollm2")
            await pilot.press("e")
            await shows(pilot, "2 rows answered, 0 failed", "Exact match  0.000")
            await pilot.press("c")
            await until(pilot, lambda: pilot.app.current_mode == "chat")
            await ask(pilot, "Who are you?")
            await settled(pilot)
            assert shown_answer(pilot) == "Who are you?"
        finally:
            await project(pilot).flows.stop()
