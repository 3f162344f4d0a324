"""A place elsewhere: one signs in to it, sees what it needs and makes it, without leaving the application."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from phichat.app import PhichatApp
from phichat.backends.base import Check
from phichat.errors import AuthError, BackendError, HistoryError, QuotaError
from phichat.events import Step
from phichat.screens.configure.checklist import CheckList
from phichat.screens.configure.provision import ProvisionScreen
from phichat.screens.configure.sign_in import SignInScreen, code_in
from phichat.screens.remedies import page, remedy
from tests.screens import states_azure
from tests.screens.driving import chat, phase, picture, until
from tests.screens.scripted import Script
from tests.screens.states_azure import CHECKS, NUMBERS, PAGE, PLAN
from tests.screens.states_configure import configure, configuring


@pytest.fixture(autouse=True)
def without_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")


async def copied(pilot: Pilot[None], text: str) -> None:
    await until(pilot, lambda: pilot.app.clipboard == text)


async def checked(pilot: Pilot[None], script: Script, name: str) -> None:
    """The check of that name is highlighted."""
    await states_azure.needing(pilot, script)
    names = [check.name for check in CHECKS]
    configure(pilot).query_one(CheckList).highlighted = names.index(name)
    await pilot.pause()


@pytest.mark.parametrize(
    "sentence",
    [
        "To sign in, open https://login.microsoft.com/device and enter ABCD1234E (until 15:20).",
        "Open https://login.microsoft.com/device and enter ABCD1234E",
    ],
)
def test_a_code_is_found_in_what_a_backend_says(sentence: str) -> None:
    found = code_in(sentence)
    assert found is not None
    assert (found.address, found.code) == ("https://login.microsoft.com/device", "ABCD1234E")
    assert code_in("Open the window and whistle ABC123.") is None


async def test_an_expired_sign_in_is_mended_here_and_checked_again(app: PhichatApp, script: Script) -> None:
    async with app.run_test(notifications=True) as pilot:
        await checked(pilot, script, "sign-in")
        assert "Enter: Sign in here" in picture(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "A B C D 1 2 3 4 E" in picture(pilot))
        assert "https://login.microsoft.com/device" in picture(pilot)
        assert "until 15:20" in picture(pilot)
        await pilot.press("c")
        await copied(pilot, "ABCD1234E")
        await pilot.press("o")
        await copied(pilot, "https://login.microsoft.com/device")
        script.checks = [Check(name="sign-in", ok=True, detail="DeviceCodeCredential")]
        script.signed.set()
        told = ("Signed in as ada@contoso.com.", "it ends with this application")
        await until(pilot, lambda: all(each in " ".join(picture(pilot).split()) for each in told))
        await until(pilot, lambda: "1 of 1 are in place." in picture(pilot))


async def test_a_sign_in_can_be_given_up(app: PhichatApp, script: Script) -> None:
    async with app.run_test() as pilot:
        await states_azure.signing_in(pilot, script)
        screen = pilot.app.screen
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, SignInScreen))
        assert all(not worker.is_running for worker in pilot.app.workers if worker.node is screen)
        assert configure(pilot).query_one("#pages", OptionList).highlighted == 0, "and nothing was checked"


async def test_a_sign_in_that_fails_says_why_and_gives_another_code(app: PhichatApp, script: Script) -> None:
    async with app.run_test() as pilot:
        await states_azure.signing_in(pilot, script)
        script.sign_in_error = AuthError("The code has expired.", "phichat login")
        script.signed.set()
        await until(pilot, lambda: "The code has expired." in picture(pilot))
        assert "A B C D" not in picture(pilot)
        script.signed.clear()
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "A B C D 1 2 3 4 E" in picture(pilot))


async def test_from_any_screen_the_key_of_the_error_signs_in(app: PhichatApp, script: Script) -> None:
    script.place = PLAN
    script.loaded.set()
    async with app.run_test() as pilot:
        await phase(pilot, "ready")
        await chat(pilot).show_problem(AuthError("The sign-in to Azure has expired.", "az login"))
        await until(pilot, lambda: "Sign in here" in picture(pilot))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(pilot.app.screen, SignInScreen))
        script.signed.set()
        await until(pilot, lambda: "The sign-in to Azure has expired." not in picture(pilot))
        assert pilot.app.current_mode == "chat"


async def test_where_nobody_signs_in_the_keys_are_not_there(app: PhichatApp, script: Script) -> None:
    async with app.run_test() as pilot:
        await configuring(pilot, script)
        await pilot.press("f6", "f7", "f5")
        await until(pilot, lambda: "Nothing has to be in place." in picture(pilot))
        assert "Sign in" not in picture(pilot) and "Make ready" not in picture(pilot)


async def test_the_plan_says_what_is_missing_and_what_it_costs_and_makes_nothing(
    app: PhichatApp, script: Script
) -> None:
    async with app.run_test() as pilot:
        await checked(pilot, script, "workspace")
        await pilot.press("enter")
        await until(pilot, lambda: "vCPUs" in picture(pilot))
        lines = [" ".join(line.strip(" │").split()) for line in picture(pilot).splitlines()]
        assert any("✓ kept resource group phichat" in line for line in lines)
        assert any("○ to make container registry phichatcr4f1d, US$0.17 a day" in line for line in lines)
        assert script.making.empty()
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ProvisionScreen))
        assert "The sign-in to Azure has expired." in picture(pilot), (
            "nothing was made: nothing is looked at again"
        )


async def test_making_it_ready_shows_each_step_and_ends_with_a_look(app: PhichatApp, script: Script) -> None:
    async with app.run_test() as pilot:
        await states_azure.making(pilot, script)
        assert "◐ …        container registry" in picture(pilot)
        for step in PLAN[4:]:
            script.making.put_nowait(step.model_copy(update={"state": "done"}))
        script.making.put_nowait(None)
        await until(pilot, lambda: "All is ready." in picture(pilot))
        script.checks = []
        await pilot.press("escape")
        await until(pilot, lambda: "Nothing has to be in place." in picture(pilot))


async def test_making_it_ready_can_be_stopped_and_goes_on(app: PhichatApp, script: Script) -> None:
    async with app.run_test() as pilot:
        await states_azure.making(pilot, script)
        await pilot.press("escape")
        await until(pilot, lambda: "Stopped. What was made stays" in picture(pilot))
        script.place = [step.model_copy(update={"state": "reused"}) for step in PLAN[:-1]] + [PLAN[-1]]
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "✓ kept     key vault" in picture(pilot) and "y Make" in picture(pilot))
        await pilot.press("y")
        script.making.put_nowait(Step(name=PLAN[-1].name, state="done", detail="Azure has granted it"))
        script.making.put_nowait(None)
        await until(pilot, lambda: "All is ready." in picture(pilot))
        assert "Azure has granted it" in picture(pilot)


async def test_what_fails_says_what_to_do(app: PhichatApp, script: Script) -> None:
    async with app.run_test(notifications=True) as pilot:
        await states_azure.refused(pilot, script)
        assert "new limit 24" in " ".join(picture(pilot).replace("█", "").split())
        await pilot.press("o")
        await copied(pilot, PAGE)
        await until(pilot, lambda: "What to fill in there" in picture(pilot))
        assert NUMBERS in " ".join(note.message for note in pilot.app._notifications)


async def test_a_sign_in_that_ends_while_it_is_made_ready_is_mended_on_the_spot(
    app: PhichatApp, script: Script
) -> None:
    async with app.run_test() as pilot:
        await states_azure.making(pilot, script)
        script.making.put_nowait(AuthError("The sign-in to Azure has expired.", "phichat login"))
        await until(pilot, lambda: "^g Sign in here" in picture(pilot))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(pilot.app.screen, SignInScreen))
        script.signed.set()
        await until(pilot, lambda: isinstance(pilot.app.screen, ProvisionScreen))
        await until(pilot, lambda: "y Make what is missing" in picture(pilot))


async def test_quota_is_asked_for_here_or_on_the_page(app: PhichatApp, script: Script) -> None:
    async with app.run_test(notifications=True) as pilot:
        await checked(pilot, script, "quota")
        assert "Enter: Make it ready here · o: Open the page" in picture(pilot)
        assert "24 needed, 0 of 0 free" in picture(pilot)
        await pilot.press("o")
        await copied(pilot, PAGE)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProvisionScreen))


def test_a_hint_leads_to_what_the_application_can_do() -> None:
    signing = remedy(AuthError("No.", "az login --tenant contoso.com"))
    assert signing is not None and signing.command == ("login",)
    kept = remedy(HistoryError("No.", "az login"))
    assert kept is not None and kept.text == "az login", "another sign-in than the backend's"
    making = remedy(BackendError("No.", "phichat provision"))
    assert making is not None and making.command == ("provision",)
    assert page(QuotaError("No.", f"Ask for it at {PAGE} ({NUMBERS})")) == (PAGE, NUMBERS)
    assert page(BackendError("No.", "Enable it at https://portal.azure.com, Subscriptions.")) == (
        "https://portal.azure.com",
        "",
    )
    assert page(BackendError("No.", "phichat check")) is None
