"""The first start, and the set-up: three questions, then a chat."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from phichat.app import PhichatApp
from phichat.backends.base import Deployment, DeploymentState, DeploySpec
from phichat.backends.local.backend import LocalBackend
from phichat.backends.local.settings import LocalSettings
from phichat.history import Conversation
from phichat.paths import user_folders
from phichat.screens.configure.setup import SetupScreen
from phichat.workflow.beginning import likely_folder
from tests.screens.driving import ask, phase, picture, prompt, settled, shown_answer, until, write
from tests.screens.scripted import Script, have_weights, opener

MakeApp = Callable[[], PhichatApp]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder without a project, and with something in it."""
    folder = tmp_path / "harbour"
    folder.mkdir()
    (folder / "notes.txt").touch()
    return folder


@pytest.fixture
def make_app(script: Script, folder: Path, cache: Path) -> MakeApp:
    """The application on a fresh machine, as often as it is started there."""

    def make() -> PhichatApp:
        app = PhichatApp(opener(script, folder))
        app.animation_level = "none"
        return app

    return make


@pytest.fixture
async def pilot(make_app: MakeApp) -> AsyncGenerator[Pilot[None], None]:
    async with make_app().run_test(notifications=True) as pilot:
        await welcomed(pilot)
        yield pilot


async def welcomed(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, SetupScreen) and "phi-4-mini" in picture(pilot))


def downloading(pilot: Pilot[None], script: Script) -> bool:
    """Whether the download is seen; one report alone may come too soon after another to be shown."""
    script.progress(34e6)
    return "Downloading SmolLM2 34 of 98 MB" in picture(pilot)


def said(project: Path) -> dict[str, object]:
    return tomllib.loads((project / "phichat.toml").read_text(encoding="utf-8"))


async def test_the_first_start_opens_it_and_says_what_each_model_takes(pilot: Pilot[None]) -> None:
    seen = " ".join(picture(pilot).split())
    assert "Welcome to phichat" in seen
    assert "● smollm2 135 M download 93 MB ✓ takes 1.2 GB of memory" in seen
    assert "○ phi-4 14.7 B download 29 GB ✗ takes 59 GB, 14 GB free" in seen
    assert "^s Download 93 MB and chat" in seen


async def test_three_times_enter_ends_in_a_chat_while_the_model_downloads(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    await pilot.press("enter", "enter", "enter")
    await until(pilot, lambda: not isinstance(pilot.app.screen, SetupScreen) and script.deploys == 1)
    await until(pilot, lambda: downloading(pilot, script))
    await ask(pilot, "Who are you?")
    script.say("A keeper.")
    script.loaded.set()
    await settled(pilot)
    assert shown_answer(pilot) == "A keeper."
    config = said(folder / "my-project")
    assert (config["backend"], config["base_model"]) == ("local", "smollm2")
    assert "my-project · local · smollm2" in picture(pilot)


async def test_one_key_takes_all_answers(pilot: Pilot[None], script: Script) -> None:
    await pilot.press("ctrl+s")
    await until(pilot, lambda: script.deploys == 1)
    assert prompt(pilot).has_focus


async def test_what_ran_before_anybody_was_asked_ends(make_app: MakeApp, script: Script, cache: Path) -> None:
    have_weights(cache)
    script.loaded.set()
    script.deployed = [DeploymentState(deployment=Deployment(id="smollm2"), healthy=True)]
    async with make_app().run_test() as pilot:
        await welcomed(pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "my-project · local · smollm2" in picture(pilot))
        assert script.deleted == ["smollm2"]


async def test_who_leaves_has_the_chat_and_is_not_asked_again(
    pilot: Pilot[None], make_app: MakeApp, folder: Path, script: Script
) -> None:
    await pilot.press("escape")
    assert prompt(pilot).has_focus
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    await phase(pilot, "offered")
    assert script.deploys == 0
    await until(pilot, lambda: (user_folders().data / "asked").exists())
    async with make_app().run_test() as again:
        await phase(again, "offered")
        await until(again, lambda: not any(each.group == "welcome" for each in again.app.workers))
        assert not isinstance(again.app.screen, SetupScreen)


async def test_who_types_already_is_not_interrupted(make_app: MakeApp) -> None:
    async with make_app().run_test() as pilot:
        await pilot.press("H")
        await phase(pilot, "offered")
        await until(pilot, lambda: not any(each.group == "welcome" for each in pilot.app.workers))
        await pilot.pause()
        assert prompt(pilot).text == "H"
        await pilot.press("f12")
        await welcomed(pilot)
        assert "Set up a project" in picture(pilot)


@pytest.mark.parametrize("known", ["a project", "a variable", "a conversation"])
async def test_who_has_begun_otherwise_is_not_asked(
    make_app: MakeApp, script: Script, folder: Path, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    if known == "a project":
        (folder / "phichat.toml").touch()
    elif known == "a variable":
        monkeypatch.setenv("PHICHAT_CHAT__SEED", "7")
    else:
        async with opener(script, folder)() as project:
            await project.history.create(Conversation(title="Elsewhere", project="/another"))
    async with make_app().run_test() as pilot:
        await phase(pilot, "offered")
        await until(pilot, lambda: not any(each.group == "welcome" for each in pilot.app.workers))
        await pilot.pause()
        assert prompt(pilot).has_focus


async def test_another_model_and_another_folder(pilot: Pilot[None], folder: Path) -> None:
    await pilot.press("enter", "down", "enter")
    assert "^s Download 7.6 GB and chat" in picture(pilot)
    await write(pilot, "-2")
    await pilot.press("enter")
    await until(pilot, lambda: "my-project-2 · local · phi-3-mini" in picture(pilot))
    assert said(folder / "my-project-2")["base_model"] == "phi-3-mini"
    assert any("start phichat there" in each.message for each in pilot.app._notifications)
    await pilot.press("f12")
    assert not isinstance(pilot.app.screen, SetupScreen), "There is a project now."


async def test_a_folder_that_cannot_be_made_is_said(pilot: Pilot[None]) -> None:
    await pilot.press("tab", "tab", "ctrl+u")
    await write(pilot, "notes.txt/deeper")
    await pilot.press("enter")
    await until(pilot, lambda: "cannot be written" in picture(pilot))
    assert isinstance(pilot.app.screen, SetupScreen)


def test_a_project_is_made_where_it_mixes_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    assert likely_folder(tmp_path) == tmp_path
    (tmp_path / "letter.txt").touch()
    assert likely_folder(tmp_path) == tmp_path / "my-project"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "letter.txt").unlink()
    assert likely_folder(tmp_path) == tmp_path / "my-project", "Else every folder of the person's is in it."


async def test_this_machine_says_what_a_model_takes(tmp_path: Path, cache: Path) -> None:
    backend = LocalBackend(LocalSettings(device="cpu"), tmp_path)
    found = await backend.estimate(DeploySpec(name="a", model="phi-4"))
    assert found.memory_bytes and found.memory_bytes[0] == pytest.approx(59.3e9, rel=0.01)
    assert found.memory_free and found.download_bytes == 29_319_014_400
