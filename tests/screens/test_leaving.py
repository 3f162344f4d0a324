"""Leaving while something goes on costing: said and asked once, and never in the way when nothing does."""

from __future__ import annotations

import time

import pytest
from textual.pilot import Pilot

from phichat.backends.base import Deployment, DeploymentState, Report, Resource
from phichat.errors import UnavailableError
from phichat.screens.leaving import LeavingScreen
from tests.screens.driving import chat, picture, until
from tests.screens.scripted import Script
from tests.screens.states_deploy import leaving
from tests.screens.states_train import project


def gone(pilot: Pilot[None]) -> bool:
    """Whether the application was left."""
    return pilot.app._exit


@pytest.fixture
def removed(pilot: Pilot[None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was taken down."""
    names: list[str] = []

    async def remove(resource: Resource, report: Report) -> None:
        names.append(resource.name)

    monkeypatch.setattr(project(pilot), "remove", remove)
    return names


async def test_where_nothing_costs_nobody_is_asked(pilot: Pilot[None], script: Script) -> None:
    script.alive = [Resource(kind="server", name="smollm2", state="ready")]
    chat(pilot).session.look_soon()
    await until(pilot, lambda: not chat(pilot).session.looking)
    await pilot.press("ctrl+q")
    assert gone(pilot)


@pytest.mark.parametrize("key", ["l", "ctrl+q", "ctrl+c"])
async def test_what_costs_is_said_and_can_be_left(pilot: Pilot[None], script: Script, key: str) -> None:
    await leaving(pilot, script)
    seen = picture(pilot)
    assert "When you leave, this goes on and costs US$4.13 an hour:" in seen
    assert "US$0.46 an hour  keeper/blue" in seen and "A run on a cluster ends with the cluster." in seen
    assert "server smollm2" not in seen, "it is free"
    await pilot.press(key)
    assert gone(pilot)


async def test_one_can_stay(pilot: Pilot[None], script: Script, removed: list[str]) -> None:
    await leaving(pilot, script)
    await pilot.press("escape")
    assert not gone(pilot) and not removed
    assert not isinstance(pilot.app.screen, LeavingScreen)


async def test_ctrl_c_asks_too_and_else_says_how_to_quit(pilot: Pilot[None], script: Script) -> None:
    await pilot.press("alt+4", "ctrl+c")
    await until(pilot, lambda: any("quit" in each.message for each in pilot.app._notifications))
    assert not isinstance(pilot.app.screen, LeavingScreen)
    await pilot.press("alt+5")
    await leaving(pilot, script, "ctrl+c")


async def test_all_that_costs_can_be_taken_down_on_the_way_out(
    pilot: Pilot[None], script: Script, removed: list[str]
) -> None:
    await leaving(pilot, script)
    await pilot.press("d")
    await until(pilot, lambda: gone(pilot))
    assert removed == ["keeper/blue", "phichat-nc24ads"]


async def test_what_cannot_be_taken_down_is_told_and_one_can_leave_all_the_same(
    pilot: Pilot[None], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    async def refuse(resource: Resource, report: Report) -> None:
        tried.append(resource.name)
        if resource.kind == "deployment":
            raise UnavailableError("Nobody answers.", "phichat status")

    monkeypatch.setattr(project(pilot), "remove", refuse)
    await leaving(pilot, script)
    await pilot.press("d")
    told = "✗ 1 of 2 could not be removed and may cost on: deployment keeper/blue: Nobody answers."
    await until(pilot, lambda: told in " ".join(picture(pilot).replace("│", " ").split()))
    assert not gone(pilot) and tried == ["keeper/blue", "phichat-nc24ads"]
    await pilot.press("l")
    assert gone(pilot)


async def test_an_unknown_price_is_not_free(pilot: Pilot[None], script: Script) -> None:
    await leaving(pilot, script, unknown=True)
    assert "costs an unknown sum:" in picture(pilot)


async def test_whoever_comes_back_to_the_terminal_sees_what_costs_now(
    pilot: Pilot[None], script: Script
) -> None:
    await leaving(pilot, script)
    await pilot.press("escape")
    script.alive = []
    pilot.app.on_app_focus()  # type: ignore[attr-defined]
    await until(pilot, lambda: "an hour" not in picture(pilot))


async def test_what_runs_out_of_time_meanwhile_is_told_once(pilot: Pilot[None], script: Script) -> None:
    script.deployed = [
        DeploymentState(deployment=Deployment(id="keeper/blue"), healthy=True, until=time.time() - 60)
    ]
    session = chat(pilot).session
    for _ in range(2):
        session.look_soon()
        await until(pilot, lambda: not session.looking and not session.news)
    (told,) = [each.message for each in pilot.app._notifications]
    assert told.startswith("keeper/blue is over its time since 20")
