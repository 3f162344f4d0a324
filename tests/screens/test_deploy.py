"""Deploying on the screen: what is there, another model in its place, and what the backend cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from textual.pilot import Pilot

from phichat.app import PhichatApp
from phichat.backends.base import Deployment, DeploymentState, DeploySpec, Estimate, Report, Resource
from phichat.errors import UnavailableError
from phichat.events import Step
from phichat.workflow import Project
from phichat.workflow.shifting import displaces
from tests.screens import schooling
from tests.screens.driving import chat, phase, picture, until, write
from tests.screens.scripted import OneBackend, Script, ScriptedBackend, opener
from tests.screens.states_deploy import (
    choosing,
    deploy,
    deploying,
    failed,
    go,
    handing_over,
    listed,
    meanwhile,
    planned,
    serve,
    shared,
)
from tests.screens.states_train import opened, project


async def shows(pilot: Pilot[None], *texts: str) -> None:
    """Wait until all of it is to be seen."""
    await until(pilot, lambda: all(text in picture(pilot) for text in texts))


async def test_what_is_deployed_is_listed_with_health_and_cost(pilot: Pilot[None], script: Script) -> None:
    await listed(pilot, script)
    await shows(pilot, "▸  smollm2", "US$0.45 an hour", "● healthy", "○ starts again with the next question")
    assert "Requests" not in picture(pilot) and "Roll back" not in picture(pilot)


async def test_models_to_deploy_are_the_runs_the_base_model_and_the_catalogues(
    pilot: Pilot[None], script: Script
) -> None:
    await choosing(pilot, script)
    await shows(
        pilot,
        "third",
        "It helped: perplexity 20.09 → 4.14",
        "the base model",
        "Phi-3.5 mini instruct, not on this machine yet",
    )
    assert "second" not in picture(pilot), "it was cancelled"
    await pilot.press("escape")
    assert deploy(pilot).place == "list"


async def test_a_deployment_tells_its_steps_and_is_the_current_one_then(
    pilot: Pilot[None], script: Script
) -> None:
    await deploying(pilot, script)
    await shows(
        pilot, "Deploying third", "▶ deploying third", "✓ model  third", "◐ server  third on 127.0.0.1"
    )
    script.loaded.set()
    await shows(pilot, "third answers the chats now.")
    assert project(pilot).serving.model == "third"
    assert pilot.app.current_mode == "deploy"


async def test_waiting_for_a_deployment_can_be_stopped(pilot: Pilot[None], script: Script) -> None:
    await deploying(pilot, script)
    await pilot.press("escape")
    await shows(pilot, "Stopped. What runs already runs on.", "n New")
    assert script.cancelled_deploys == 1
    assert project(pilot).serving.model == "smollm2"


async def test_a_deployment_that_fails_says_why_and_another_one_can_be_made(
    pilot: Pilot[None], script: Script
) -> None:
    await failed(pilot, script)
    await shows(pilot, "✗ server", "✗ The model's server ended before it was ready.", "phichat check")
    script.deploy_error = None
    await pilot.press("n", "enter")
    await shows(pilot, "third answers the chats now.")


async def test_what_costs_or_must_be_downloaded_is_asked_about(pilot: Pilot[None], script: Script) -> None:
    await choosing(pilot, script)
    before = script.deploys

    async def estimate(spec: object) -> Estimate:
        return Estimate(usd=(0, 0), usd_per_hour=0.45, download_bytes=7_600_000_000, source="list price")

    project(pilot).backend.estimate = estimate  # type: ignore[method-assign]
    await pilot.press("end", "enter")
    await shows(pilot, "costs US$0.45 an hour", "7.6 GB")
    await pilot.press("n")
    await shows(pilot, "Not deployed.")
    assert script.deploys == before
    await pilot.press("n", "end", "enter")
    await shows(pilot, "7.6 GB")
    await pilot.press("y")
    await until(pilot, lambda: script.deploys == before + 1)


async def test_any_model_of_the_hub_or_folder_can_be_typed_and_is_judged_at_once(
    pilot: Pilot[None], script: Script, folder: Path, tiny_phi3: Path
) -> None:
    await choosing(pilot, script)
    before = script.deploys
    (folder / "mine").symlink_to(tiny_phi3)
    for typed, told in (
        ("./nowhere", "✗ There is no model folder ./nowhere."),
        ("smolm2", "✗ There is no model called 'smolm2'. Did you mean smollm2?"),
        ("keeper/lamp@v2", "✓ keeper/lamp@v2, of the hub."),
        ("mine", "✓ The model in the folder mine."),
    ):
        await write(pilot, typed)  # the list has the focus at first
        assert pilot.app.focused is deploy(pilot).query_one("#named-input")
        await shows(pilot, told)
        if typed == "./nowhere":
            await pilot.press("enter")
            assert deploy(pilot).place == "choose", "what is wrong is not deployed"
        if typed != "mine":
            await pilot.press("ctrl+u")
            await shows(pilot, "A model of the hub as org/name[@revision], or the folder of one.")
    await pilot.press("enter")
    await until(pilot, lambda: script.deploys == before + 1)
    assert script.deployed_specs[-1].model == str(tiny_phi3)


@pytest.mark.parametrize(
    ("gradual", "key", "chosen"),
    [
        (False, "enter", False),
        (False, "g", True),
        (True, "enter", True),
        (True, "o", False),
        (True, "y", True),
    ],
)
async def test_how_the_requests_are_handed_over_is_a_choice(
    pilot: Pilot[None], script: Script, gradual: bool, key: str, chosen: bool
) -> None:
    await handing_over(pilot, script, gradual=gradual)
    shown, other = ("o All at once", "g Gradually") if gradual else ("g Gradually", "o All at once")
    await shows(pilot, "y Yes", shown, "n No")
    assert other not in picture(pilot)
    await pilot.press(key)
    await shows(pilot, "third answers the chats now.")
    assert script.deployed_specs[-1].gradual is chosen


async def test_where_nobody_has_the_requests_there_is_nothing_to_choose(
    pilot: Pilot[None], script: Script
) -> None:
    await planned(pilot, script)
    await pilot.press("g", "o")
    assert "Go on?" in picture(pilot) and "Gradually" not in picture(pilot)


async def test_what_costs_is_waited_for_as_everything_is(pilot: Pilot[None], script: Script) -> None:
    await planned(pilot, script)
    before = script.deploys
    script.loaded.clear()
    await pilot.press("y")
    await until(pilot, lambda: script.deploys == before + 1)
    await shows(pilot, "◐ deploying", "esc Cancel")
    assert "n New" not in picture(pilot), "the newest would end the one before"
    await pilot.press("escape")
    await shows(pilot, "Stopped. What runs already runs on.", "n New")


async def test_while_one_is_deployed_the_others_can_be_read_and_asked(
    pilot: Pilot[None], script: Script
) -> None:
    await meanwhile(pilot, script)
    steps = ("Deploying third", "◐ server", "120 of 272", "◐ deploying", "esc Cancel")
    await shows(pilot, "What first has written", "50039", *steps)
    for name in ("n New", "x Delete", "f Flow server"):
        assert name not in picture(pilot)
    await pilot.press("n", "x", "a", "f", "t")
    script.say("Good morning.")
    await shows(pilot, "first answered, first token after", "Good morning.", *steps)
    script.answers.put_nowait(UnavailableError("Nobody answers.", "phichat status"))
    await pilot.press("t")
    await shows(pilot, "✗ Nobody answers.", "◐ server", "◐ deploying")
    await pilot.press("l", "c")
    await until(pilot, lambda: pilot.app.current_mode == "chat")
    assert chat(pilot).session.answering == "first"
    await pilot.press("alt+4")
    script.report(Step(name="server", state="done", detail="third on 127.0.0.1"))
    await shows(pilot, "first answers the chats now.", "✓ server", "◐ deploying")
    script.loaded.set()
    await shows(pilot, "third answers the chats now.", "n New")
    assert script.cancelled_deploys == 0
    assert deploy(pilot).session.answering == "third"


async def test_another_screen_does_not_end_what_is_being_deployed(pilot: Pilot[None], script: Script) -> None:
    await deploying(pilot, script)
    deploy(pilot).deploy("smollm2")
    await shows(pilot, "✗ smollm2 is not deployed: what was begun before goes on.", "◐ server")
    assert script.cancelled_deploys == 0
    script.loaded.set()
    await shows(pilot, "third answers the chats now.")


def state_of(name: str, **changes: object) -> DeploymentState:
    told = {"deployment": {"id": f"keeper/{name}"}, "healthy": True, "endpoint": "keeper", **changes}
    return DeploymentState.model_validate(told)


@pytest.mark.parametrize(
    ("state", "endpoint", "wanted"),
    [
        (state_of("blue"), "", True),
        (state_of("blue"), "keeper", True),
        (state_of("blue", traffic=10), "", True),
        (state_of("blue"), "another", False),
        (state_of("blue", traffic=0), "", False),
        (state_of("blue", healthy=False), "", False),
        (state_of("blue", foreign=True), "", False),
        (state_of("blue", endpoint=""), "", False),
    ],
)
def test_requests_are_taken_only_from_who_answers_on_the_same_endpoint(
    state: DeploymentState, endpoint: str, wanted: bool
) -> None:
    assert displaces([state], DeploySpec(name="green", model="smollm2", endpoint=endpoint)) is wanted


async def test_a_deployment_is_tried_with_a_question(pilot: Pilot[None], script: Script) -> None:
    await listed(pilot, script)
    script.say("Good ", "morning.")
    await pilot.press("t")
    await shows(pilot, "smollm2 answered, first token after", "Good morning.")
    assert script.asked[-1][-1].content == "Say hello in one short sentence."


async def test_a_deployment_that_does_not_answer_is_told(pilot: Pilot[None], script: Script) -> None:
    await listed(pilot, script)
    script.answers.put_nowait(UnavailableError("Nobody answers.", "phichat status"))
    await pilot.press("t")
    await shows(pilot, "✗ Nobody answers.", "phichat status")


async def test_the_log_of_a_deployment(pilot: Pilot[None], script: Script) -> None:
    await listed(pilot, script)
    script.written = ["loading", "ready on port 8000"]
    await pilot.press("down", "l")
    await shows(pilot, "What first has written", "ready on port 8000")
    script.written = [f"line {number}" for number in range(100)]
    await pilot.press("l")
    await shows(pilot, "line 99")
    assert "line 50" not in picture(pilot), "of a log one wants to see the end"


async def test_a_deployment_is_deleted_only_after_a_question(pilot: Pilot[None], script: Script) -> None:
    await listed(pilot, script)
    await pilot.press("down", "x")
    await shows(pilot, "Stop and delete first?")
    await pilot.press("escape")
    assert not script.deleted
    await pilot.press("x")
    await shows(pilot, "Stop and delete first?")
    await pilot.press("y")
    await shows(pilot, "first is gone.")
    assert script.deleted == ["first"]
    await until(pilot, lambda: list(deploy(pilot).states) == ["smollm2"])


async def test_when_the_one_that_the_chats_are_with_is_deleted_they_turn_to_what_there_is(
    pilot: Pilot[None], script: Script
) -> None:
    await listed(pilot, script)
    session = deploy(pilot).session
    assert session.answering == "smollm2"
    script.loaded.clear()
    await pilot.press("x")
    await shows(pilot, "Stop and delete smollm2?")
    await pilot.press("y")
    await until(pilot, lambda: script.deleted == ["smollm2"] and session.readiness.phase == "preparing")
    assert session.answering == ""
    script.loaded.set()
    await until(pilot, lambda: session.readiness.phase == "ready")
    assert script.deploys == 2


@pytest.mark.parametrize("key", ["enter", "c"])
async def test_the_chats_turn_to_an_earlier_deployment(pilot: Pilot[None], script: Script, key: str) -> None:
    await opened(pilot, script)
    schooling.prepare(project(pilot))
    await schooling.history(project(pilot), script)
    serve(script)
    await go(pilot)
    await pilot.press("down", key)
    await until(pilot, lambda: pilot.app.current_mode == "chat")
    assert project(pilot).serving.model == "first"
    await project(pilot).ready(lambda event: None)
    assert script.deploys == 2, "it had stopped: it is started again, with the model of its run"
    assert project(pilot).serving.model == "first"


class Sharing(ScriptedBackend):
    """A backend whose deployments share an endpoint."""

    title: ClassVar[str] = "Shared"
    weights: ClassVar[list[tuple[str, dict[str, int]]]] = []

    async def set_traffic(self, endpoint: str, weights: Mapping[str, int], report: Report) -> None:
        self.weights.append((endpoint, dict(weights)))
        self.script.deployed = [
            each.model_copy(update={"traffic": weights.get(each.deployment.id, 0)})
            for each in self.script.deployed
        ]


async def test_where_traffic_is_shared_one_key_goes_back_to_an_earlier_deployment(
    script: Script, folder: Path, weights: None
) -> None:
    shared: list[tuple[str, dict[str, int]]] = []
    backend = type("Shares", (Sharing,), {"script": script, "weights": shared})
    app = PhichatApp(lambda: Project.open(folder, registry=OneBackend(backend)))
    app.animation_level = "none"
    script.deployed = [
        DeploymentState(
            deployment=Deployment(id=f"keeper/{name}"),
            healthy=True,
            traffic=share,
            model=name,
            endpoint="keeper",
        )
        for name, share in (("green", 0), ("blue", 100))
    ]
    script.alive = [Resource(kind="endpoint", name="keeper/green", state="ready", usd_per_hour=None)]
    script.loaded.set()
    async with app.run_test() as pilot:
        await phase(pilot, "ready")
        await go(pilot)
        await shows(pilot, "Requests", "┄   0 %", "━ 100 %", "unknown", "b Requests")
        await pilot.press("b")
        await shows(pilot, "0 % do.", "10, 50, then all")
        await pilot.press("enter")
        await shows(pilot, "keeper/green answers all requests now.")
        assert shared == [("keeper", {"keeper/green": 100})]
        await until(pilot, lambda: deploy(pilot).states["keeper/blue"].traffic == 0)
        assert "b Requests" not in picture(pilot), "it has them all"
        assert project(pilot).serving.model == "green" and deploy(pilot).session.answering == "keeper/green"


async def test_a_backend_out_of_reach_is_told_with_a_key_that_tries_again(
    pilot: Pilot[None], script: Script
) -> None:
    await opened(pilot, script)
    backend = project(pilot).backend
    there = backend.deployments

    async def away() -> list[DeploymentState]:
        raise UnavailableError("Nobody answers.", "phichat check")

    backend.deployments = away  # type: ignore[method-assign]
    await go(pilot, "trouble")
    await shows(pilot, "✗ Nobody answers.", "^r Look again")
    backend.deployments = there  # type: ignore[method-assign]
    await pilot.press("ctrl+r")
    await until(pilot, lambda: deploy(pilot).place == "list")


async def test_a_config_that_cannot_be_read_is_told_here_too(
    script: Script, folder: Path, weights: None
) -> None:
    (folder / "phichat.toml").write_text("backnd = 'local'\n", encoding="utf-8")
    app = PhichatApp(opener(script, folder))
    app.animation_level = "none"
    async with app.run_test() as pilot:
        await phase(pilot, "failed")
        await pilot.press("alt+4")
        await shows(pilot, "backnd", "^r Try again")


async def test_what_others_have_made_can_be_chatted_with_and_nothing_else(
    pilot: Pilot[None], script: Script
) -> None:
    await shared(pilot, script)
    await shows(pilot, "Of others: they can be chatted with", "support/llama-70b", "▲ time is up")
    await pilot.press("down")
    await shows(pilot, "support · Standard_NC24ads_A100_v4", "c Chat", "t Test")
    for name in ("b Requests", "x Delete", "l Log"):
        assert name not in picture(pilot)
    await pilot.press("x", "b", "l")
    assert deploy(pilot).is_current and not script.deleted
    await pilot.press("enter")
    await until(pilot, lambda: pilot.app.current_mode == "chat")
    assert chat(pilot).session.answering == "support/llama-70b"


async def test_all_that_is_alive_is_taken_down_after_a_question(pilot: Pilot[None], script: Script) -> None:
    await shared(pilot, script)
    await pilot.press("a")
    await shows(pilot, "Stop and delete all that is alive?", "US$0.27 an hour  phichat-light")
    await pilot.press("escape")
    assert len(script.alive) == 2
    await pilot.press("a", "y")
    await shows(pilot, "Nothing of it is alive any more.")
    assert not script.alive
    await until(pilot, lambda: list(deploy(pilot).states) == ["support/llama-70b"])


async def test_one_that_cannot_be_removed_keeps_none_of_the_others_alive(
    pilot: Pilot[None], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shared(pilot, script)
    stuck = script.alive[0]
    remove = project(pilot).remove

    async def but_one(resource: Resource, report: Report) -> None:
        if resource == stuck:
            raise UnavailableError("It is being changed.", "phichat status")
        await remove(resource, report)

    monkeypatch.setattr(project(pilot), "remove", but_one)
    await pilot.press("a", "y")
    await shows(pilot, "1 of 2 could not be removed", "It is being changed")
    assert script.alive == [stuck] and list(deploy(pilot).resources) == [stuck]


async def test_a_hint_leads_to_the_log_the_models_and_the_way_back(
    pilot: Pilot[None], script: Script
) -> None:
    await shared(pilot, script)
    script.written = ["no memory left"]
    screen = deploy(pilot)
    (_, green, _) = screen.states
    await screen.carry_out(("logs", green))
    await shows(pilot, f"What {green} has written", "no memory left")
    await screen.carry_out(("rollback",))
    await shows(pilot, "blue-0123abcd answers all requests again.")
    await screen.carry_out(("deploy",))
    assert screen.place == "choose"
