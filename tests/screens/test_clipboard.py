"""The clipboard: the machine's first, then the terminal's, and whoever copies hears which it was."""

from __future__ import annotations

import base64

import pyperclip
import pytest
from textual.pilot import Pilot

from phichat.app import PhichatApp
from phichat.errors import HistoryError
from phichat.screens.browsing import browse
from tests.screens import states_azure
from tests.screens.driving import ask, chat, picture, prompt, settled, until, write
from tests.screens.scripted import Script

HERE = "is in the clipboard of this machine."
TERMINAL = "was sent to the clipboard of your terminal (OSC 52)."


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the clipboard of the machine has taken."""
    taken: list[str] = []
    monkeypatch.setattr(pyperclip, "copy", taken.append)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    return taken


@pytest.fixture
def sent(pilot: Pilot[None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the terminal was told."""
    sent: list[str] = []
    monkeypatch.setattr(pilot.app._driver, "write", sent.append)
    return sent


async def told(pilot: Pilot[None], sentence: str) -> None:
    """Wait until a toast says it."""
    await until(pilot, lambda: any(each.message == sentence for each in pilot.app._notifications))


def osc52(text: str) -> str:
    return f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\a"


async def test_each_code_block_goes_to_the_machine(
    pilot: Pilot[None], script: Script, taken: list[str], sent: list[str]
) -> None:
    script.say("Look:\n\n```python\na = 1\n```\n\n```\nb\n```\n")
    await ask(pilot, "Code?")
    await settled(pilot)
    for number, block in enumerate(("a = 1\n", "b\n", "a = 1\n"), start=1):
        await pilot.press("shift+tab" if number == 1 else "tab")
        chat(pilot).query("Answer").last().focus()
        await pilot.press("b")
        await until(pilot, lambda: len(taken) == number)  # noqa: B023 - it is awaited at once
        assert taken[-1] == block
    await told(pilot, f"Code block 2 of 2 {HERE}")
    assert not [each for each in sent if "]52;" in each]


async def test_over_ssh_the_terminal_is_asked(
    pilot: Pilot[None], script: Script, taken: list[str], sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "1.2.3.4 5 6.7.8.9 22")
    script.say("Paris.")
    await ask(pilot, "Capital of France?")
    await settled(pilot)
    await pilot.press("ctrl+o")
    await told(pilot, f"The last answer {TERMINAL}")
    assert osc52("Paris.") in sent
    assert not taken


async def test_a_selection_goes_the_same_way_and_can_be_pasted(
    pilot: Pilot[None], taken: list[str], sent: list[str]
) -> None:
    await write(pilot, "Who keeps the light?")
    prompt(pilot).select_all()
    await pilot.press("ctrl+x")
    await told(pilot, f"The text {HERE}")
    assert taken == ["Who keeps the light?"]
    assert prompt(pilot).text == ""
    await pilot.press("ctrl+v")
    assert prompt(pilot).text == "Who keeps the light?"
    chat(pilot).query_one("#welcome-title").text_select_all()
    chat(pilot).action_copy_text()
    await until(pilot, lambda: len(taken) == 2)
    assert taken[1] and taken[1] in picture(pilot)
    assert not [each for each in sent if "]52;" in each]


async def test_a_command_that_only_a_shell_can_do_is_copied(pilot: Pilot[None], taken: list[str]) -> None:
    await chat(pilot).show_problem(HistoryError("The sign-in has expired.", "az login"))
    await pilot.press("ctrl+g")
    await told(pilot, f"The command az login {HERE}")
    assert taken == ["az login"]


async def test_a_page_is_copied_where_no_browser_is(
    pilot: Pilot[None], taken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    browse(pilot.app, "https://portal.azure.com")
    await told(pilot, f"There is no browser here. The address https://portal.azure.com {HERE}")
    browse(pilot.app, "/project/report.html")
    await told(pilot, f"There is no browser here. The path /project/report.html {HERE}")
    assert taken == ["https://portal.azure.com", "/project/report.html"]


async def test_the_code_of_a_sign_in_is_copied(app: PhichatApp, script: Script, taken: list[str]) -> None:
    async with app.run_test() as pilot:
        await states_azure.signing_in(pilot, script)
        await pilot.press("c")
        await told(pilot, f"The code ABCD1234E {HERE}")
        assert taken == ["ABCD1234E"]
