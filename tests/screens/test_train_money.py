"""A training that costs something: price and limit before, cost meanwhile, the machine afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest
from textual.pilot import Pilot

from phichat.app import PhichatApp
from phichat.backends.base import Job, Report, TrainSpec
from phichat.errors import AuthError
from phichat.events import Event, Progress, Status
from phichat.screens.configure.sign_in import SignInScreen
from phichat.screens.train import work as train_work
from phichat.workflow.purse import Purse
from tests.screens import states_azure
from tests.screens.driving import picture, until, write
from tests.screens.scripted import Script, ScriptedBackend
from tests.screens.states_azure import NODE
from tests.screens.states_train import train


def seen(pilot: Pilot[None]) -> str:
    return " ".join(picture(pilot).split())


async def test_what_may_cost_more_than_the_limit_does_not_begin(app: PhichatApp, script: Script) -> None:
    async with app.run_test(notifications=True) as pilot:
        await states_azure.priced(pilot, script)
        assert "Cost US$0.92 to 6.02 (Standard_NC24ads_A100_v4, prices.azure.com, 2026-11-26)" in seen(pilot)
        train(pilot).query_one("#form").query("Input").last().focus()
        await write(pilot, "ten")
        await until(pilot, lambda: "Max cost: 'ten' is no amount of US dollars." in picture(pilot))
        await pilot.press("backspace", "backspace", "backspace", "5")
        await until(pilot, lambda: "may cost up to US$6.02, and --max-cost is US$5.00." in seen(pilot))
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert script.submitted == [] and "Go on?" not in picture(pilot)
        await pilot.press("0")
        await until(pilot, lambda: "may cost up to" not in picture(pilot))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "It is ended before it costs more than US$50.00." in seen(pilot))
        await pilot.press("y")
        await until(pilot, lambda: train(pilot).place == "run")
        (spec,) = script.submitted
        assert isinstance(spec, TrainSpec) and spec.max_usd == 50.0


async def test_it_tells_what_it_has_cost_and_when_its_machine_is_gone(
    app: PhichatApp, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_work, "LOOK_S", 0.01)
    monkeypatch.setattr(train_work, "LOOKS", 10_000)
    async with app.run_test(notifications=True) as pilot:
        script.alive = [NODE]
        name = await states_azure.begun(pilot, script)
        now = time.time()
        script.tell(name, Status(state="running", at=now - 7200))
        await until(pilot, lambda: "● running · 2.0 h, US$7.34 so far" in picture(pilot))
        script.tell(name, Status(state="succeeded", detail="Done.", at=now))
        await until(pilot, lambda: "now: 1 node, soon 0, US$3.67 an hour." in picture(pilot))
        assert "2.0 h, US$7.34" in picture(pilot) and "so far" not in picture(pilot)
        script.alive = [NODE.model_copy(update={"state": "asleep", "usd_per_hour": 0.0})]
        await until(pilot, lambda: "✓ The machine is gone: it costs nothing any more." in picture(pilot))
        monkeypatch.setattr(Purse, "budget", 5.0)
        await pilot.press("e")
        await until(
            pilot, lambda: "at US$3.67 an hour while it runs. Go on?" in seen(pilot).replace("│ ", "")
        )
        await pilot.press("y")
        left = "Nothing of the budget of US$5.00 is left"
        await until(pilot, lambda: any(left in note.message for note in pilot.app._notifications))
        assert len(script.submitted) == 1


async def test_a_sign_in_that_expires_while_it_is_followed_is_mended_and_it_goes_on(
    app: PhichatApp, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = ScriptedBackend.watch

    async def expired(self: ScriptedBackend, job: Job) -> AsyncGenerator[Event, None]:
        yield Status(state="running", seq=0)
        raise AuthError("The sign-in to Azure has expired.", "phichat login")

    monkeypatch.setattr(ScriptedBackend, "watch", expired)
    async with app.run_test() as pilot:
        name = await states_azure.begun(pilot, script)
        await until(pilot, lambda: "^g Sign in here" in picture(pilot))
        monkeypatch.setattr(ScriptedBackend, "watch", watch)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(pilot.app.screen, SignInScreen))
        script.signed.set()
        await until(pilot, lambda: "Sign in" not in picture(pilot))
        script.tell(name, Status(state="running"), Status(state="running", detail="Training 30 steps."))
        await until(pilot, lambda: "Training 30 steps." in picture(pilot))


async def test_what_is_being_brought_there_can_be_stopped_and_goes_on(
    app: PhichatApp, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, stopped = ScriptedBackend.submit, asyncio.Event()

    async def slow(self: ScriptedBackend, spec: TrainSpec, report: Report) -> Job:
        report(Progress(what="base model", done=34e6, total=98e6, unit="bytes"))
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        raise AssertionError("nobody waits for that")

    monkeypatch.setattr(ScriptedBackend, "submit", slow)
    async with app.run_test() as pilot:
        await states_azure.priced(pilot, script)
        await pilot.press("ctrl+s", "y")
        await until(pilot, lambda: "34 of 98 MB" in picture(pilot) and "^x Stop" in picture(pilot))
        await pilot.press("ctrl+x")
        await until(pilot, lambda: stopped.is_set() and "34 of 98 MB" not in picture(pilot))
        monkeypatch.setattr(ScriptedBackend, "submit", submit)
        await pilot.press("ctrl+s", "y")
        await until(pilot, lambda: train(pilot).place == "run")


async def test_what_is_not_in_place_is_said_before_anything_is_paid_for(
    app: PhichatApp, script: Script
) -> None:
    async with app.run_test() as pilot:
        await states_azure.priced(pilot, script)
        assert "▲ sign-in: The sign-in to Azure has expired." in picture(pilot)
        await pilot.press("f5")
        await until(pilot, lambda: pilot.app.current_mode == "configure")
        await until(pilot, lambda: "Enter: Sign in here" in picture(pilot))


async def test_a_sign_in_that_has_expired_when_it_begins_is_mended_on_the_spot(
    app: PhichatApp, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = ScriptedBackend.submit

    async def expired(self: ScriptedBackend, spec: TrainSpec, report: Report) -> Job:
        raise AuthError("The sign-in to Azure has expired.", "phichat login")

    monkeypatch.setattr(ScriptedBackend, "submit", expired)
    async with app.run_test() as pilot:
        await states_azure.priced(pilot, script)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Go on?" in picture(pilot))
        await pilot.press("y")
        await until(pilot, lambda: "^g Sign in here" in picture(pilot))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(pilot.app.screen, SignInScreen))
        monkeypatch.setattr(ScriptedBackend, "submit", submit)
        script.signed.set()
        await until(pilot, lambda: "^s Train" in picture(pilot) and "Sign in" not in picture(pilot))
        assert train(pilot).place == "setup"
