"""Configure: every setting with its value and origin, checked as one types, and saved without a loss."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import keyring
import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from phichat.app import PhichatApp
from phichat.backends.base import Check
from phichat.config.schema import PERSONAL, Config, keys_of
from phichat.errors import BackendError
from phichat.paths import user_folders
from phichat.screens.configure.checklist import CheckList
from phichat.screens.configure.fields import FieldRow
from phichat.screens.configure.page import PAGES
from phichat.screens.configure.screen import ConfigureScreen
from phichat.workflow.beginning import remember
from tests.config.keyrings import MemoryKeyring
from tests.screens.driving import chat, phase, picture, prompt, until, write
from tests.screens.scripted import Script, ScriptedBackend, opener
from tests.screens.states_configure import CHECKS, configure, configuring

FILE = """\
# The keeper's project
backend = "local"

[chat]
temperature = 0.2  # he is cold
"""


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
async def pilot(app: PhichatApp, script: Script, folder: Path) -> AsyncGenerator[Pilot[None], None]:
    (folder / "phichat.toml").write_text(FILE, encoding="utf-8")
    script.loaded.set()
    async with app.run_test(notifications=True) as pilot:
        yield pilot


def names(pilot: Pilot[None]) -> list[str]:
    return [field.row.dotted for field in configure(pilot).query(FieldRow)]


async def test_every_setting_has_its_field_on_one_of_the_pages(pilot: Pilot[None], script: Script) -> None:
    await configuring(pilot, script)
    shown: list[str] = []
    for _ in PAGES:
        await pilot.pause()
        shown += names(pilot)
        await pilot.press("down")
    known = {".".join(key) for key, _ in keys_of(Config) if key[0] not in (*PERSONAL, "backends", "backend")}
    assert known | {"hf_token", "backends.local.threads", "backends.local.device"} <= set(shown)
    assert len(shown) == len(set(shown))


async def test_a_field_says_where_its_value_comes_from_and_how_it_is_said_elsewhere(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    await configuring(pilot, script, "chat")
    await pilot.press("right", "down")
    seen = picture(pilot)
    assert "0.2" in seen
    assert "chat.temperature · --temperature · PHICHAT_CHAT__TEMPERATURE" in seen
    assert "phichat.toml:5" in seen
    assert "without it 0." in seen
    await pilot.press("down")
    assert "Nobody has set it: 1.0 holds." in picture(pilot)


async def test_what_the_environment_says_is_said_to_overrule_the_file(
    app: PhichatApp, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_CHAT__SEED", "7")
    async with app.run_test() as pilot:
        await configuring(pilot, script, "chat")
        await pilot.press("right", *["down"] * 4)
        assert "PHICHAT_CHAT__SEED says 7, and overrules what is saved here." in picture(pilot)
        assert "environment" in picture(pilot)


async def test_a_change_is_saved_with_everything_around_it_and_holds_at_once(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    await configuring(pilot, script, "chat")
    session = configure(pilot).session
    before = session.project
    await pilot.press("right", "down", "backspace")
    await write(pilot, "5")
    assert "changed" in picture(pilot)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: session.project not in (None, before) and session.readiness.phase == "ready")
    assert (folder / "phichat.toml").read_text(encoding="utf-8") == FILE.replace("0.2", "0.5")
    assert session.project is not None
    assert session.project.config.chat.temperature == 0.5
    await until(pilot, lambda: "Saved in phichat.toml." in picture(pilot))
    assert "changed" not in picture(pilot)
    assert configure(pilot).query_one("#page") in configure(pilot).focused.ancestors  # type: ignore[union-attr]


async def test_a_wrong_value_is_said_as_one_types_and_not_saved(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    await configuring(pilot, script, "model")
    await pilot.press("right", "tab")
    await write(pilot, "smolm2")
    assert "Did you mean smollm2?" in picture(pilot)
    assert "✗ wrong" in picture(pilot)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "Not saved: base_model" in picture(pilot))
    assert (folder / "phichat.toml").read_text(encoding="utf-8") == FILE
    await pilot.press("f8")
    assert "✗" not in picture(pilot)


async def test_a_model_is_chosen_from_the_list(pilot: Pilot[None], script: Script, folder: Path) -> None:
    await configuring(pilot, script, "model")
    await pilot.press("right")
    seen = " ".join(picture(pilot).split())
    assert "● smollm2 135 M 8,192 Apache-2.0 here" in seen
    assert "○ phi-4 14.7 B 16,384 MIT 29 GB" in seen
    await pilot.press("end", "enter")
    assert "● phi-4" in picture(pilot)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "local · phi-4" in picture(pilot))
    assert tomllib.loads((folder / "phichat.toml").read_text(encoding="utf-8"))["base_model"] == "phi-4"


async def test_a_broken_plugin_is_one_line_and_says_why_in_full(pilot: Pilot[None], script: Script) -> None:
    await configuring(pilot, script)
    assert "✗ cloudy  ModuleNotFoundError: No module named 'cloud'." in picture(pilot)
    await pilot.press("right", "up")
    assert "Backend 'cloudy' cannot be loaded" in picture(pilot)
    assert "phichat-cloudy 1.0" in picture(pilot)
    await pilot.press("escape")
    assert configure(pilot).query_one("#pages").has_focus


async def test_a_secret_goes_into_the_keyring_and_never_into_the_file(
    pilot: Pilot[None], script: Script, folder: Path, kept: MemoryKeyring
) -> None:
    await configuring(pilot, script, "secrets")
    await pilot.press("right")
    await write(pilot, "hf_" + "a" * 30)
    assert "hf_a" not in picture(pilot)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: keyring.get_password("phichat", "hf_token") is not None)
    await until(pilot, lambda: "It is in: keyring." in picture(pilot))
    assert (folder / "phichat.toml").read_text(encoding="utf-8") == FILE


async def test_a_choice_is_turned_with_the_arrow_keys(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    await configuring(pilot, script, "train")
    await pilot.press("right", "right", "right", "left", "ctrl+s")
    await until(pilot, lambda: "preset" in (folder / "phichat.toml").read_text(encoding="utf-8"))
    assert tomllib.loads((folder / "phichat.toml").read_text(encoding="utf-8"))["train"] == {
        "preset": "smoke"
    }


async def test_a_file_that_cannot_be_written_is_one_sentence_and_the_change_is_kept(
    pilot: Pilot[None], script: Script, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device", "phichat.toml")

    monkeypatch.setattr("phichat.config.saving.write_atomic", full)
    await configuring(pilot, script, "chat")
    await pilot.press("right")
    await write(pilot, "Hello.")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "phichat.toml cannot be written: No space left on device." in picture(pilot))
    assert "Hello." in picture(pilot)


# Checks


async def test_what_fails_says_its_fix_and_enter_does_it(pilot: Pilot[None], script: Script) -> None:
    fix = Check(name="deployment", ok=False, detail="Nothing is deployed.", fix="phichat deploy")
    script.checks = [*CHECKS, fix]
    await configuring(pilot, script)
    await pilot.press("f5")
    await until(pilot, lambda: "1 of 4 are in place." in picture(pilot))
    seen = picture(pilot)
    assert "✓ packages" in seen
    assert "✗ memory" in seen
    assert "→ Close other programs." in seen
    configure(pilot).query_one(CheckList).focus()
    await pilot.press("end", "enter")
    await pilot.pause()
    assert pilot.app.current_mode == "deploy"


async def test_checking_goes_on_in_the_background_and_can_be_stopped(
    pilot: Pilot[None], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(self: ScriptedBackend) -> list[Check]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(ScriptedBackend, "check", never)
    await configuring(pilot, script)
    await pilot.press("f5")
    await until(pilot, lambda: "Checking what the backend local needs …" in picture(pilot))
    assert "checking" in picture(pilot).splitlines()[0]
    await pilot.press("escape")
    await until(pilot, lambda: "Not checked yet." in picture(pilot))
    assert "checking" not in picture(pilot)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("phichat check", "Nothing has to be in place."),
        ("phichat secret set hf_token", "hf_token"),
        ("phichat models list", "phi-4"),
        ("phichat backends", "This machine"),
    ],
)
async def test_an_error_elsewhere_leads_here(
    pilot: Pilot[None], script: Script, command: str, shown: str
) -> None:
    await phase(pilot, "ready")
    await chat(pilot).show_problem(BackendError("No.", command))
    await pilot.press("ctrl+g")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfigureScreen) and shown in picture(pilot))


# Without a project


@pytest.fixture
async def homeless(
    script: Script, tmp_path: Path, weights: None
) -> AsyncGenerator[tuple[Pilot[None], Path], None]:
    folder = tmp_path / "nothing-yet"
    folder.mkdir()
    remember(user_folders())
    script.loaded.set()
    app = PhichatApp(opener(script, folder))
    app.animation_level = "none"
    async with app.run_test(notifications=True) as pilot:
        yield pilot, folder


async def test_without_a_project_one_can_type_at_once_and_the_line_says_so(
    homeless: tuple[Pilot[None], Path],
) -> None:
    pilot, _ = homeless
    await phase(pilot, "ready")
    await write(pilot, "Hello")
    assert prompt(pilot).text == "Hello"
    assert "no project · local · smollm2" in picture(pilot)
    assert "2 Data" in picture(pilot)
    assert "✓" not in picture(pilot).splitlines()[0]


async def test_saving_without_a_project_makes_one_here(
    homeless: tuple[Pilot[None], Path], script: Script
) -> None:
    pilot, folder = homeless
    await configuring(pilot, script, "chat")
    assert "There is no project here: saving makes one." in picture(pilot)
    assert "f12 Set up a project" in picture(pilot)
    configure(pilot).query(FieldRow).first().control.focus()
    await write(pilot, "You are a keeper.")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: (folder / "phichat.toml").exists())
    await until(pilot, lambda: "nothing-yet · local" in picture(pilot))
    said = tomllib.loads((folder / "phichat.toml").read_text(encoding="utf-8"))
    assert said["chat"]["system"] == "You are a keeper."


async def test_a_config_that_is_wrong_is_said_here_too(app: PhichatApp, folder: Path) -> None:
    (folder / "phichat.toml").write_text("backnd = 'local'\n", encoding="utf-8")
    async with app.run_test() as pilot:
        await phase(pilot, "failed")
        await pilot.press("alt+1")
        await until(pilot, lambda: "backnd" in picture(pilot))
        assert "^r Try again" in picture(pilot)
        (folder / "phichat.toml").write_text("", encoding="utf-8")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "This machine" in picture(pilot))
        assert "backnd" not in picture(pilot)
        assert pilot.app.screen.query_one("#pages", OptionList).highlighted == 0
