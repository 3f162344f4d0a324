"""What all screens have in common: where one stands, what goes on, going elsewhere, and mending an error."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from pydantic import JsonValue
from textual import events
from textual.pilot import Pilot

from phichat import screens
from phichat.app import PhichatApp
from phichat.backends.base import Dataset, Deployment, DeploymentState, Job, TrainSpec
from phichat.errors import BackendError, ConfigError, NotFoundError, PhichatError
from phichat.events import Event, Metric, Status
from phichat.runs import Run
from phichat.screens.attention import Attention
from phichat.screens.goto import GoToScreen
from phichat.screens.remedies import remedy
from phichat.screens.session import Session
from phichat.screens.stage import StageScreen
from phichat.screens.stages import STAGES
from phichat.workflow.standing import Standing
from tests.screens.driving import chat, phase, picture, prompt, until
from tests.screens.scripted import OneBackend, Script, ScriptedBackend, opener

TRAINING = TrainSpec(name="smollm2-12", dataset=Dataset(train_file=Path("t.jsonl")), base_model="smollm2")


def first_line(pilot: Pilot[None]) -> str:
    return picture(pilot).splitlines()[0]


def status_line(pilot: Pilot[None]) -> str:
    return picture(pilot).splitlines()[-2]


def stand(pilot: Pilot[None], standing: Standing) -> None:
    session = chat(pilot).session
    session.standing = standing
    session.ended("nothing")


# Where one stands


async def test_what_is_done_has_a_sign_and_not_only_a_colour(pilot: Pilot[None]) -> None:
    assert first_line(pilot).startswith(" 1 Configure ✓ 2 Data 3 Train 4 Deploy 5 Chat")
    done = dict.fromkeys(("configure", "data", "train", "deploy"), "Done.")
    stand(pilot, Standing(done))
    chat(pilot).bar.activity = "answering, ~24 tokens/s"
    await until(pilot, lambda: "4 Deploy ✓" in picture(pilot))
    line = first_line(pilot)
    assert line.startswith(" 1 Configure ✓ 2 Data ✓ 3 Train ✓ 4 Deploy ✓ 5 Chat")
    assert line.endswith("answering, ~24 tokens/s"), "Nothing is cut at 80 columns."


async def test_the_line_leaves_out_what_does_not_fit_and_cuts_nothing(pilot: Pilot[None]) -> None:
    assert status_line(pilot).strip() == "lighthouse · local · smollm2"
    stand(pilot, Standing(serving="smollm2-0123abcd", usd_per_hour=3.67))
    await until(pilot, lambda: "US$3.67 an hour" in status_line(pilot))
    assert status_line(pilot).startswith(" lighthouse · local · smollm2 · serving smollm2-0123abcd  ")
    chat(pilot).session.working("run", "training smollm2-0123abcd", 0.34)
    await until(pilot, lambda: "34%" in picture(pilot))
    assert status_line(pilot).split("  ")[0] == " lighthouse · local"
    assert status_line(pilot).endswith("▶ training smollm2-0123abcd 34% · US$3.67 an hour")


async def test_what_costs_an_unknown_sum_is_said(pilot: Pilot[None]) -> None:
    stand(pilot, Standing(usd_per_hour=None))
    await until(pilot, lambda: "costs an unknown sum" in status_line(pilot))


class Trainer(ScriptedBackend):
    """Has one job, which ends when a test says so."""

    goes_on: asyncio.Event
    state: str

    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        yield Metric(step=3, total=12, values={"loss": 2.0})
        await self.goes_on.wait()
        yield Status(state="succeeded" if self.state == "succeeded" else "failed")


@pytest.mark.parametrize(("state", "tick"), [("succeeded", True), ("failed", False)])
async def test_a_run_is_followed_to_its_end_and_everybody_is_told(
    script: Script, folder: Path, weights: None, state: str, tick: bool
) -> None:
    goes_on = asyncio.Event()
    backend = type("Own", (Trainer,), {"script": script, "goes_on": goes_on, "state": state})
    script.loaded.set()
    app = PhichatApp(opener(script, folder, OneBackend(backend)))
    async with app.run_test(notifications=True) as pilot:
        await phase(pilot, "ready")
        project = chat(pilot).session.project
        assert project is not None
        job = Job(id=TRAINING.name)
        project.training.ledger.write(
            Run(name=TRAINING.name, backend="local", spec=TRAINING, job=job, state="running")
        )
        chat(pilot).session.look_soon()
        await until(pilot, lambda: "▶ training smollm2-12 25%" in status_line(pilot))
        await pilot.press("alt+2")
        goes_on.set()
        await until(pilot, lambda: f"Training smollm2-12: {state}." in picture(pilot))
        await until(pilot, lambda: ("3 Train ✓" in first_line(pilot)) is tick)
        assert "▶" not in status_line(pilot)


async def test_a_tuned_model_can_be_tried_with_what_was_held_out(pilot: Pilot[None], script: Script) -> None:
    session = chat(pilot).session
    assert session.project is not None
    await pilot.press("up")
    assert prompt(pilot).text == "", "There is nothing to bring back yet."
    probes: JsonValue = [{"prompt": "Who keeps the light?", "expect": ["Pelican"]}, "Where is it?"]
    spec = TRAINING.model_copy(update={"hyperparameters": {"probes": probes}})
    job = Job(id=TRAINING.name)
    run = Run(name=spec.name, backend="local", spec=spec, job=job, state="succeeded")
    session.project.training.ledger.write(run)
    script.deployed = [DeploymentState(deployment=Deployment(id=spec.name), healthy=True)]
    await session.deploy(session.project.serving.spec(job), lambda event: None)
    session.look_soon()
    await until(pilot, lambda: "Try a question that was held out" in picture(pilot))
    await pilot.press("up")
    assert prompt(pilot).text == "Who keeps the light?"
    await pilot.press("up")
    assert prompt(pilot).text == "Where is it?"


async def test_who_looks_elsewhere_is_called_back_once_and_the_title_is_put_back(
    app: PhichatApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(Attention, "_write", lambda self, sequence: written.append(sequence))
    async with app.run_test() as pilot:
        chat(pilot).session.ended("run", "Training x: succeeded.")
        await pilot.pause()
        assert written == [], "Who is here needs no bell."
        app.post_message(events.AppBlur())
        await pilot.pause()
        chat(pilot).session.ended("run", "Training\x07 y: failed.")
        await pilot.pause()
        app.post_message(events.AppFocus())
        await pilot.pause()
    assert written == ["\x1b[22;0t\x1b]0;● Training y: failed.\x07", "\x1b]0;phichat\x07\x1b[23;0t"]


# Going elsewhere


async def test_digits_jump_where_no_text_is_typed_and_are_typed_in_the_chat(pilot: Pilot[None]) -> None:
    await pilot.press("2")
    assert prompt(pilot).text == "2"
    await pilot.press("alt+1")
    assert pilot.app.current_mode == "configure"
    pilot.app.screen.set_focus(None)
    await pilot.press("3")
    assert pilot.app.current_mode == "train"


@pytest.mark.parametrize(
    ("keys", "mode"), [(["2"], "data"), (["up", "enter"], "deploy"), (["escape"], "chat")]
)
async def test_one_can_go_without_the_alt_key(pilot: Pilot[None], keys: list[str], mode: str) -> None:
    await pilot.press("f9")
    assert isinstance(pilot.app.screen, GoToScreen)
    seen = picture(pilot)
    assert all(f"{number} {stage.title}" in seen for number, stage in enumerate(STAGES, start=1))
    await pilot.press(*keys)
    await pilot.pause()
    assert pilot.app.current_mode == mode
    assert isinstance(pilot.app.screen, StageScreen)


# The project anew


async def test_a_project_is_opened_anew_with_what_its_file_says_now(pilot: Pilot[None], folder: Path) -> None:
    session = chat(pilot).session
    before = session.project
    (folder / "phichat.toml").write_text('base_model = "phi-4"\n', encoding="utf-8")
    await session.reopen()
    await until(pilot, lambda: session.readiness.phase == "offered" and not session.looking)
    assert session.project is not before
    assert "local · phi-4" in status_line(pilot)
    assert "phi-4 answers, on the backend local." in picture(pilot)


async def test_a_config_that_is_wrong_now_is_said_and_another_project_can_be_opened(
    pilot: Pilot[None], script: Script, folder: Path, tmp_path: Path
) -> None:
    session = chat(pilot).session
    (folder / "phichat.toml").write_text("backnd = 'local'\n", encoding="utf-8")
    await session.reopen()
    assert session.readiness.problem is not None
    other = tmp_path / "harbour"
    other.mkdir()
    (other / "phichat.toml").touch()
    await session.reopen(opener(script, other))
    await until(pilot, lambda: "harbour · local · smollm2" in status_line(pilot))
    assert session.readiness.problem is None


async def test_what_was_open_before_is_closed_at_the_end_and_not_earlier(
    script: Script, folder: Path, weights: None
) -> None:
    script.loaded.set()
    session = Session(opener(script, folder))
    await session.start()
    await session.reopen()
    assert not script.closed
    await session.aclose()
    assert script.closed


# Errors


@pytest.mark.parametrize(
    ("problem", "title", "command"),
    [
        (NotFoundError("Nothing is deployed yet.", "phichat deploy"), "Go to Deploy", ("deploy",)),
        (BackendError("No.", "Run 'phichat data demo'."), "Take the demo data", ("data", "demo")),
        (BackendError("No.", "phichat check"), "Check", ("check",)),
        (
            ConfigError("A secret.", "Remove it, then run: phichat secret set hf_token (or set X)."),
            "Set the secret",
            ("secret", "set", "hf_token"),
        ),
        (BackendError("No.", "phichat models pull phi-4"), "Download phi-4", ("models", "pull", "phi-4")),
        (BackendError("No.", "Come back: phichat watch run-1. End it: …"), "Go to Train", ("watch", "run-1")),
        (BackendError("No.", "phichat logs run-1"), "Go to Train", ("logs", "run-1")),
        (BackendError("No.", "phichat logs lab/first-1"), "Go to Deploy", ("logs", "lab/first-1")),
        (ConfigError("backnd is not a key.", "Did you mean backend?"), "Go to Configure", ()),
    ],
)
def test_a_hint_has_its_place_in_the_application(
    problem: PhichatError, title: str, command: tuple[str, ...]
) -> None:
    found = remedy(problem)
    assert found is not None
    assert (found.title, found.command) == (title, command)


def test_what_only_a_shell_can_do_is_copied_and_what_only_a_person_can_do_is_left_to_them() -> None:
    found = remedy(BackendError("No torch.", "pip install 'phichat[local]'"))
    assert found is not None
    assert found.text == "pip install 'phichat[local]'"
    assert remedy(BackendError("No room.", "Close other programs.")) is None


@pytest.mark.parametrize(("here", "offered"), [("train", True), ("data", False)])
def test_nobody_is_sent_where_they_are(here: str, offered: bool) -> None:
    problem = BackendError("3 rows have errors.", "Mend them: phichat data rows.jsonl --skip-bad")
    assert (remedy(problem, here) is not None) is offered
    assert remedy(BackendError("No data.", "phichat data demo"), here), "The demo can be had from here."


async def test_a_key_does_what_the_hint_says(app: PhichatApp, script: Script) -> None:
    script.deploy_error = NotFoundError("Nothing is deployed yet.", "phichat deploy")
    script.loaded.set()
    async with app.run_test() as pilot:
        await phase(pilot, "failed")
        assert "^g Go to Deploy" in picture(pilot)
        await pilot.press("ctrl+g")
        assert app.current_mode == "deploy"


async def test_the_screen_does_the_command_of_the_hint(
    app: PhichatApp, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, ...]] = []

    async def carry_out(self: StageScreen, command: tuple[str, ...]) -> None:
        done.append((self.stage, *command))

    monkeypatch.setattr(StageScreen, "carry_out", carry_out)
    script.loaded.set()
    async with app.run_test() as pilot:
        await phase(pilot, "ready")
        await pilot.press("alt+3")
        screen = app.screen
        assert isinstance(screen, StageScreen)
        await screen.show_problem(BackendError("There is no data.", "phichat deploy run-1"))
        await pilot.press("ctrl+g")
        await until(pilot, lambda: done == [("deploy", "deploy", "run-1")])
        await pilot.press("alt+3")
        await screen.clear_problem()
        assert "There is no data." not in picture(pilot)


async def test_a_bug_while_a_screen_shows_the_session_costs_a_panel(
    pilot: Pilot[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: StageScreen) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("phichat.screens.train.screen.TrainScreen.session_changed", fail, raising=False)
    await pilot.press("alt+3")
    await until(pilot, lambda: "ZeroDivisionError: division by zero" in picture(pilot))
    await pilot.press("alt+5")
    assert prompt(pilot).has_focus


async def test_the_palette_says_what_one_would_type_in_a_shell(pilot: Pilot[None]) -> None:
    told = {each.title: each.help for each in pilot.app.get_system_commands(pilot.app.screen)}
    assert told["Help"].endswith("In a shell: phichat --help")
    assert "Go to" in told
    assert len(told) == len(list(pilot.app.get_system_commands(pilot.app.screen))), "Nothing is there twice."


def test_no_screen_dresses_what_belongs_to_another() -> None:
    """Textual keeps the styles of a screen when one leaves it: they hold wherever their selectors match."""
    begins: dict[str, set[str]] = defaultdict(set)
    for sheet in Path(screens.__path__[0]).glob("*.tcss"):
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        for selectors in re.findall(r"([^{}]+)\{", text):
            for selector in selectors.split(","):
                first = re.match(r"\s*([#.][\w-]+)", selector)
                if first and first[1] not in (".-narrow", ".-wide"):
                    begins[first[1]].add(sheet.name)
    assert not {name: sheets for name, sheets in begins.items() if len(sheets) > 1}
