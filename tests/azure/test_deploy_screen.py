"""Deploy on the screen, on Azure: plan and price, steps, shares of the requests, a way back, and the bill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from phichat.backends.azureml import arm
from tests.azure.driven import application, backend_of, deploy, make_project, note, project_of, shows
from tests.azure.serving import Played, play_containers, trained
from tests.azure.standin.cloud import Cloud
from tests.azure.standin.faults import Fault, instead
from tests.azure.standin.others import SAYS, MLflow, Stuck
from tests.azure.standin.wire import error
from tests.azure.test_others import have
from tests.azure.training import small_trainer
from tests.screens.driving import ask, picture, settled, shown_answer, until


@pytest.fixture
async def place(cloud: Cloud, tmp_path: Path, tiny_phi3: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose containers are played, in a workspace where nothing is deployed yet."""
    trainer = small_trainer(tmp_path / "trainer", monkeypatch)
    (trainer / "Dockerfile").write_text('CMD ["python"]\n', encoding="utf-8")
    play_containers(monkeypatch)
    cloud.empty()
    cloud.workspaces.make("phichat", "phichat")
    return make_project(tmp_path, tiny_phi3)


@pytest.fixture
async def pilot(cloud: Cloud, place: Path, tmp_path: Path, tiny_phi3: Path) -> AsyncIterator[Pilot[None]]:
    """The screen Deploy; there are two runs that could be deployed."""
    async with application(place) as pilot:
        project = project_of(pilot)
        for name in ("first", "second"):
            job = await trained(cloud, backend_of(project), tmp_path, tiny_phi3, name)
            note(project, tmp_path, job)
        await pilot.press("alt+4")
        await until(pilot, lambda: deploy(pilot).place == "list")
        yield pilot


async def deployed(pilot: Pilot[None], *, down: int = 0, key: str = "y") -> None:
    """Deploy the newest of the runs that could be deployed, or one below it; `key` says how."""
    before = len(deploy(pilot).states)
    await pilot.press("n", *["down"] * down, "enter")
    await shows(pilot, "Go on?")
    await pilot.press(key)
    await until(pilot, lambda: len(deploy(pilot).states) == before + 1 and not deploy(pilot).changing)


def shares(cloud: Cloud) -> dict[str, int]:
    """Who gets how many percent of the requests, by the model's name."""
    (endpoint,) = cloud.endpoints.found.values()
    traffic = endpoint.body["properties"].get("traffic", {})
    return {name.partition("-")[0]: share for name, share in traffic.items() if share}


def given(cloud: Cloud) -> list[dict[str, int]]:
    """The shares of the requests that were given, one after the other."""
    return [each.json["properties"]["traffic"] for each in cloud.requests if b'"traffic"' in each.body]


async def test_what_it_takes_and_costs_is_asked_before_anything_is_made(
    cloud: Cloud, pilot: Pilot[None]
) -> None:
    await shows(pilot, "Nothing is deployed yet.", "n New")
    assert "US$" not in picture(pilot), "nothing bills"
    cloud.forget()
    await pilot.press("n", "enter")
    await shows(pilot, "Deploying second costs US$0.27 an hour", "Standard_E4s_v3", "tokens a", "○ endpoint")
    await shows(pilot, "○ deployment  second-", "○ smoke test", "○ traffic  100 % to second-")
    await shows(pilot, "It costs until it is deleted")
    await pilot.press("escape")
    await shows(pilot, "Not deployed.")
    assert not cloud.made()
    await deployed(pilot)
    await shows(pilot, "✓ container", "✓ smoke test  2 questions", "answers the chats now.")
    await shows(pilot, "▸  second-", "━━━━━━━━━━ 100 %", "US$0.27 an hour  ● healthy", "US$0.00 so far")
    assert picture(pilot).splitlines()[-2].endswith("US$0.27 an hour"), "the line says what bills"
    await pilot.press("alt+2")
    assert picture(pilot).splitlines()[-2].endswith("US$0.27 an hour"), "on every screen"


async def test_requests_are_shared_shifted_and_rolled_back(cloud: Cloud, pilot: Pilot[None]) -> None:
    await deployed(pilot, down=1)
    cloud.forget()
    await deployed(pilot, key="g")
    assert [max(share.values()) for share in given(cloud)] == [90, 50, 100]
    await shows(pilot, "for a rollback", "All that is alive costs US$0.53 an hour", "r Roll back")
    assert shares(cloud) == {"second": 100}
    await pilot.press("b", "end", "enter")
    await shows(pilot, "answers 50 % of the requests now.")
    assert shares(cloud) == {"first": 50, "second": 50}
    await pilot.press("r")
    await shows(pilot, "answers all requests again.")
    assert shares(cloud) == {"second": 100}
    assert deploy(pilot).session.answering.partition("/")[2].startswith("second")
    await until(pilot, lambda: deploy(pilot).check_action("shift", ()) is True)
    crashed = error(424, "Crashed", "The model crashed.")
    cloud.faults.append(Fault("POST", r"/score$", instead(crashed)))
    await pilot.press("b", "down", "enter")
    await shows(pilot, "✗ question at 10 %", "✗ The")
    assert shares(cloud) == {"second": 100}, "who does not answer gives the requests back"
    await until(pilot, lambda: deploy(pilot).check_action("shift", ()) is True)
    cloud.forget()
    await pilot.press("b", "down", "enter")
    await shows(pilot, "✓ question at 10 %", "✓ question at 50 %", "answers all requests now.")
    assert [max(share.values()) for share in given(cloud)] == [90, 50, 100]
    assert shares(cloud) == {"first": 100}
    await pilot.press("t")
    await shows(pilot, "answered, first token after", "Yes.")
    await pilot.press("l")
    await shows(pilot, "has written")
    await pilot.press("x")
    await shows(pilot, "Stop and delete", "The others answer its requests.")
    await pilot.press("y")
    await shows(pilot, "is gone.")
    await until(pilot, lambda: len(deploy(pilot).states) == 1)
    assert shares(cloud) == {"second": 100}


async def test_while_azure_makes_one_the_other_is_asked_and_its_log_read(
    cloud: Cloud, pilot: Pilot[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    await deployed(pilot, down=1)
    cloud.endpoints.instead.append(Stuck())
    monkeypatch.setattr(cloud.endpoints, "patience", 100_000)
    monkeypatch.setattr(arm, "PATIENCE", 100_000)
    await pilot.press("n", "enter")
    await shows(pilot, "Go on?")
    await pilot.press("enter")
    await shows(pilot, "◐ deployment", "◐ deploying")
    await pilot.press("t")
    await shows(pilot, "answered, first token after", "Yes.", "◐ deployment")
    await pilot.press("l")
    await shows(pilot, "has written", "◐ deployment", "◐ deploying")
    await pilot.press("escape")
    await shows(pilot, "Stopped. What runs already runs on.")
    assert shares(cloud) == {"first": 100}


async def test_one_that_cannot_be_made_says_why_and_shows_its_log(
    cloud: Cloud, pilot: Pilot[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    await deployed(pilot, down=1)
    monkeypatch.setattr(Played, "lines", "loading\nTraceback: no memory left\n")
    cloud.faults.append(
        Fault("POST", r"/score$", instead(error(424, "Crashed", "The model crashed.")), times=9)
    )
    await pilot.press("n", "enter")
    await shows(pilot, "Go on?")
    await pilot.press("y")
    await shows(pilot, "✗ smoke test", "Traceback: no memory left", "✗ The container")
    assert shares(cloud) == {"first": 100} and list(deploy(pilot).states) != []
    await until(pilot, lambda: len(deploy(pilot).states) == 1)


async def test_the_budget_is_kept_on_the_screen_too(
    cloud: Cloud, place: Path, tmp_path: Path, tiny_phi3: Path
) -> None:
    make_project(tmp_path, tiny_phi3, "budget = 5\n")
    async with application(place) as pilot:
        await pilot.press("alt+4")
        await until(pilot, lambda: deploy(pilot).place == "list")
        await pilot.press("n", "enter")
        await shows(pilot, "✗ Deploying tiny-phi3 costs US$", "in a day, and US$5.00 of the budget")
        assert not cloud.endpoints.found


async def test_a_time_to_live_is_shown_and_told_when_it_is_up(
    cloud: Cloud, place: Path, tmp_path: Path, tiny_phi3: Path
) -> None:
    make_project(tmp_path, tiny_phi3, "[deploy]\nttl_hours = 8\n")
    async with application(place) as pilot:
        await pilot.press("alt+4")
        await until(pilot, lambda: deploy(pilot).place == "list")
        await pilot.press("n", "enter")
        await shows(pilot, "Its time to live is 8 h")
        await pilot.press("y")
        await shows(pilot, "Wanted until", "for another")
        (endpoint,) = cloud.endpoints.found.values()
        (live,) = endpoint.deployments.values()
        live.body["tags"]["phichat-until"] = "2026-01-15T00:00:00Z"
        await pilot.press("ctrl+r")
        await shows(pilot, "▲ time is up", "Its time was up at 1")


async def test_an_endpoint_of_others_can_be_chatted_with_and_nothing_else(
    cloud: Cloud, pilot: Pilot[None]
) -> None:
    await deployed(pilot)
    have(cloud, MLflow())
    await pilot.press("ctrl+r")
    await shows(pilot, "Of others: they can be chatted with", "theirs/blue", "US$0.27 an hour")
    await pilot.press("end")
    await until(pilot, lambda: deploy(pilot).check_action("delete", ()) is False)
    cloud.forget()
    await pilot.press("x", "b", "l", "enter")
    await until(pilot, lambda: pilot.app.current_mode == "chat")
    await ask(pilot, "What is salt?")
    await settled(pilot)
    assert shown_answer(pilot) == SAYS
    await shows(pilot, "on azureml, deployment blue")
    assert not [made for made in cloud.made() if not made.startswith("POST")], "it is only asked"
    await pilot.press("alt+4", "a")
    await shows(pilot, "Stop and delete all that is alive?")
    assert "theirs" not in picture(pilot).partition("Stop and delete")[2].partition("y Yes")[0]
    await pilot.press("y")
    await shows(pilot, "Nothing of it is alive any more.")
    assert list(cloud.endpoints.found) == ["theirs"]


async def test_what_bills_is_said_on_the_way_out_and_can_be_taken_down(
    cloud: Cloud, pilot: Pilot[None]
) -> None:
    await deployed(pilot, down=1)
    await deployed(pilot)
    await until(pilot, lambda: "US$0.53 an hour" in picture(pilot).splitlines()[-2])
    await pilot.press("ctrl+q")
    await shows(pilot, "When you leave, this goes on and costs US$0.53 an hour:", "/first-", "/second-")
    await pilot.press("escape")
    assert not pilot.app._exit and len(shares(cloud)) == 1
    await pilot.press("ctrl+c")
    await shows(pilot, "d Take it down")
    await pilot.press("d")
    await until(pilot, lambda: pilot.app._exit)
    (endpoint,) = cloud.endpoints.found.values()
    assert not endpoint.deployments, "an endpoint alone costs nothing"
