"""Training on the screen: before, while it runs, afterwards, and what runs elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from phichat.app import PhichatApp
from phichat.backends.base import Estimate
from phichat.errors import UnavailableError
from phichat.events import Log, Metric, Status, Step
from phichat.screens.compare.screen import CompareScreen
from phichat.screens.question import Question
from phichat.testing.harness import ignore
from phichat.workflow import Project
from phichat.workflow.preparing import Chosen
from phichat.workflow.votes import Vote, Votes
from tests.screens import schooling
from tests.screens.driving import phase, picture, until
from tests.screens.scripted import Script, opener
from tests.screens.states_train import ended, go, opened, project, runs, setup, started, train


async def shows(pilot: Pilot[None], *texts: str) -> None:
    """Wait until all of it is to be seen."""
    await until(pilot, lambda: all(text in picture(pilot) for text in texts))


async def test_without_data_one_key_prepares_the_demo(
    pilot: Pilot[None], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def prepare(where: Project, wanted: Chosen, report: Callable[..., None]) -> None:
        asked.append(wanted.source)
        schooling.prepare(where)

    monkeypatch.setattr("phichat.workflow.preparing.prepare_chosen", prepare)
    await opened(pilot, script)
    await go(pilot, "nodata")
    await shows(pilot, "There is no data to train on yet.", "p Prepare the demo", "Data")
    await pilot.press("p")
    await shows(pilot, "48 conversations, 12 held out", "^s Train")
    assert asked == ["demo"]


async def test_before_it_begins_it_says_what_it_would_take(pilot: Pilot[None], script: Script) -> None:
    await setup(pilot, script)
    await shows(
        pilot,
        "lighthouse.jsonl · 48 conversations, 12 held out",
        "8 rows each, to train all weights",
        "about 3 min to 8 min, from the model's size",
        "1.2 GB to 2.1 GB, 14 GB free",
        "nothing",
    )
    assert not script.submitted


async def test_a_setting_that_is_changed_changes_the_estimate_and_the_run(
    pilot: Pilot[None], script: Script
) -> None:
    await setup(pilot, script)
    await pilot.press("right", "right", "right", "down", "right", "right", "down", "7")
    await shows(pilot, "an adapter (lora)")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: bool(script.submitted))
    (spec,) = script.submitted
    assert getattr(spec, "hyperparameters")["method"] == "lora"  # noqa: B009 - of the one kind that has them
    assert getattr(spec, "hyperparameters")["epochs"] == 7.0  # noqa: B009


async def test_what_was_chosen_is_still_chosen_when_one_comes_back(
    pilot: Pilot[None], script: Script
) -> None:
    await setup(pilot, script)
    await pilot.press("down", "down", "7")
    await shows(pilot, "about 42, 8 rows each")
    await pilot.press("alt+5")
    await pilot.press("alt+3")
    await pilot.app.workers.wait_for_complete(
        [worker for worker in pilot.app.workers if worker.group == "look"]
    )
    await pilot.pause()
    await shows(pilot, "about 42, 8 rows each")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: bool(script.submitted))
    assert getattr(script.submitted[0], "hyperparameters")["epochs"] == 7.0  # noqa: B009


async def test_a_wrong_setting_is_said_and_nothing_begins(pilot: Pilot[None], script: Script) -> None:
    await setup(pilot, script)
    await pilot.press("down", "down", "minus", "3")
    await shows(pilot, "Epochs must be greater than 0, not '-3'.")
    await pilot.press("ctrl+s")
    assert not script.submitted
    await pilot.press("backspace", "backspace")
    await shows(pilot, "about 3 min to 8 min")


async def test_all_settings_are_there_for_those_who_want_them(pilot: Pilot[None], script: Script) -> None:
    await setup(pilot, script)
    assert "Gradient accumulation" not in picture(pilot)
    await pilot.press("f3")
    await shows(pilot, "Max steps", "Gradient accumulation")


@pytest.mark.parametrize(
    ("estimate", "question"),
    [
        (Estimate(usd=(1.2, 3.4), source="list price"), "costs US$1.20 to 3.40"),
        (Estimate(usd=(0, 0), memory_bytes=(9e9, 9e9), memory_free=8e9), "It will hardly fit into memory."),
    ],
)
async def test_what_costs_or_will_hardly_fit_is_asked_about(
    pilot: Pilot[None], script: Script, estimate: Estimate, question: str
) -> None:
    await opened(pilot, script)
    script.training = estimate
    schooling.prepare(project(pilot))
    await go(pilot, "setup")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: isinstance(pilot.app.screen, Question))
    await until(pilot, lambda: question in " ".join(picture(pilot).replace("│", " ").split()))
    await pilot.press("escape")
    await until(pilot, lambda: not isinstance(pilot.app.screen, Question))
    assert not script.submitted
    await pilot.press("ctrl+s")
    await until(pilot, lambda: isinstance(pilot.app.screen, Question))
    await pilot.press("y")
    await until(pilot, lambda: len(script.submitted) == 1)


async def test_what_would_fail_is_said_at_the_settings_and_not_begun(
    pilot: Pilot[None], script: Script
) -> None:
    await opened(pilot, script)
    script.training = Estimate(usd=(0, 0), refusal="It needs a GPU: choose lora.", hint="--method lora")
    schooling.prepare(project(pilot))
    await go(pilot, "setup")
    await shows(pilot, "It needs a GPU: choose lora.")
    await pilot.press("ctrl+s")
    await pilot.pause()
    assert not script.submitted
    assert not project(pilot).training.ledger.runs()
    script.training = Estimate(usd=(0, 0))
    await pilot.press("down", "down", "7")
    await until(pilot, lambda: "It needs a GPU" not in picture(pilot))
    await pilot.press("ctrl+s")
    await until(pilot, lambda: len(script.submitted) == 1)


async def test_a_running_training_shows_all_that_it_tells(pilot: Pilot[None], script: Script) -> None:
    name = await started(pilot, script)
    script.tell(name, *schooling.lessons(), Log(line="a line of the log"))
    await shows(
        pilot,
        "training 16 of 24 steps · 32 s left",
        "eval loss 0.780",
        "learning rate 6.7e-05",
        "812 tokens/s",
        "↘ Falling: the eval loss goes from 3.100 to 0.780.",
        "What is your name?  I am Captain Pelican, the keeper.",
        "● eval loss",
    )
    await pilot.press("a")
    await shows(pilot, "step 0  I am SmolLM", "step 8  I am the keeper of the lamp.")
    await pilot.press("l")
    await shows(pilot, "a line of the log")
    script.tell(name, Log(line="another line"))
    await shows(pilot, "another line")


async def test_a_training_is_ended_only_after_a_question_and_goes_on_from_there(
    pilot: Pilot[None], script: Script
) -> None:
    name = await started(pilot, script)
    script.tell(name, *schooling.lessons(8))
    await pilot.press("x")
    await shows(pilot, f"End {name}?")
    await pilot.press("escape")
    assert not script.cancelled
    await pilot.press("x")
    await shows(pilot, f"End {name}?")
    await pilot.press("y")
    await shows(pilot, "■ cancelled", "^r Go on")
    assert script.cancelled == [name]
    script.stories[name].pop()
    script.tell(name, Status(state="preparing", detail="Started again (attempt 2)."), *schooling.lessons(9))
    await pilot.press("ctrl+r")
    await shows(pilot, "● running")
    assert [spec.name for spec in script.submitted] == [name, name]


async def test_a_finished_training_says_whether_it_helped(pilot: Pilot[None], script: Script) -> None:
    await ended(pilot, script)
    await shows(
        pilot,
        "✓ It helped: perplexity 20.09 → 4.14, probes 0% → 90%.",
        "general questions answered right  75%",
        "/project/evaluation/report.html",
        "Answers that changed: 2",
        "tuned  I am Captain Pelican, the keeper.",
    )


async def test_a_finished_training_says_which_model_its_eval_loss_is_of(
    pilot: Pilot[None], script: Script
) -> None:
    name = await started(pilot, script)
    script.tell(name, *schooling.lessons(24)[:-3], Metric(step=24, total=24, values={"eval_loss": 0.9}))
    await shows(pilot, "finishing 24 of 24 steps", "eval loss 0.900")
    script.tell(name, schooling.DONE)
    await shows(pilot, "eval loss 0.780 (kept: step 16), 0.900 (last step)")


async def test_a_long_line_of_the_log_can_be_read_to_its_end(pilot: Pilot[None], script: Script) -> None:
    name = await started(pilot, script)
    lines = [Log(line=f"[{number}] {'word ' * 30}END{number}.") for number in range(60)]
    script.tell(name, *schooling.lessons(8), *lines)
    await pilot.press("l")
    await shows(pilot, "END59.", "[59]")
    await pilot.press("home")
    await shows(pilot, "END0.", "[0] word")


async def test_a_report_without_a_browser_is_named(
    pilot: Pilot[None], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    pages: list[str] = []
    monkeypatch.setattr(pilot.app, "open_url", lambda url: pages.append(url))
    await ended(pilot, script)
    await pilot.press("o")
    await until(pilot, lambda: pilot.app.clipboard == "/project/evaluation/report.html")
    monkeypatch.setenv("DISPLAY", ":0")
    await pilot.press("o")
    assert pages == ["file:///project/evaluation/report.html"]


async def test_one_key_deploys_what_was_trained_and_goes_to_the_chat(
    pilot: Pilot[None], script: Script
) -> None:
    await ended(pilot, script)
    before = script.deploys
    await pilot.press("d")
    await until(pilot, lambda: pilot.app.current_mode == "chat")
    assert script.deploys == before + 1
    assert project(pilot).serving.model == script.submitted[0].name


async def test_one_key_asks_the_base_model_and_the_tuned_one_side_by_side(
    pilot: Pilot[None], script: Script
) -> None:
    await ended(pilot, script)
    await pilot.press("v")
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
    await shows(pilot, script.submitted[0].name)


async def test_the_same_once_more_is_another_run(pilot: Pilot[None], script: Script) -> None:
    await ended(pilot, script)
    await pilot.press("g")
    await until(pilot, lambda: len(script.submitted) == 2)
    assert script.submitted[1].name == f"{script.submitted[0].name}-2"


async def test_the_same_once_more_costs_once_more_and_is_asked_about(
    pilot: Pilot[None], script: Script
) -> None:
    await ended(pilot, script)
    script.training = Estimate(usd=(1.2, 3.4), source="list price")
    await pilot.press("g")
    await shows(pilot, "costs US$1.20 to 3.40")
    await pilot.press("n")
    assert len(script.submitted) == 1


async def test_a_model_that_nobody_compared_is_compared_on_demand(pilot: Pilot[None], script: Script) -> None:
    name = await started(pilot, script)
    script.tell(name, *schooling.lessons(24), schooling.DONE)
    await shows(pilot, "✓ succeeded", "e Evaluate")
    script.tell(f"{name}-eval", *schooling.exam(project(pilot).state), schooling.DONE)
    await pilot.press("e")
    await shows(pilot, "✓ It helped")
    assert script.submitted[-1].name == f"{name}-eval"


async def test_a_run_that_was_started_before_or_elsewhere_is_followed(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    await opened(pilot, script)
    schooling.prepare(project(pilot))
    async with opener(script, folder)() as elsewhere:
        training = elsewhere.training
        await training.start(training.spec(training.prepared().dataset, name="theirs"), ignore)
    script.tell("theirs", *schooling.lessons())
    await go(pilot, "run")
    await shows(pilot, "theirs", "training 16 of 24 steps")
    await pilot.press("alt+5")
    script.tell("theirs", *schooling.lessons(17)[-1:])
    await pilot.press("alt+3")
    await shows(pilot, "training 17 of 24 steps")


async def test_what_is_started_elsewhere_while_one_is_at_the_settings_is_seen_when_one_comes_back(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    await setup(pilot, script)
    await start_elsewhere(script, folder)
    pilot.app.app_focus = False
    pilot.app.app_focus = True
    await until(pilot, lambda: train(pilot).place == "run")
    await shows(pilot, "theirs")


async def start_elsewhere(script: Script, folder: Path) -> None:
    project: Project = opener(script, folder)()
    async with project:
        training = project.training
        await training.start(training.spec(training.prepared().dataset, name="theirs"), ignore)
    script.tell("theirs", *schooling.lessons(4))


async def test_all_runs_are_listed_and_drawn_into_one_picture(pilot: Pilot[None], script: Script) -> None:
    await runs(pilot, script)
    await shows(pilot, "second  ■ cancelled", "first   ✓ succeeded  3.100 → 0.592  yes")
    await pilot.press("enter")
    await until(pilot, lambda: train(pilot).place == "run")
    await pilot.press("c")
    await shows(pilot, "◆ third")
    await pilot.press("escape")
    assert train(pilot).place == "runs"
    await pilot.press("escape")
    assert train(pilot).place == "run"
    await pilot.press("n")
    await until(pilot, lambda: train(pilot).place == "setup")


async def test_how_people_voted_is_shown_with_the_run_and_what_they_vote_meanwhile(
    pilot: Pilot[None], script: Script
) -> None:
    await opened(pilot, script)
    schooling.prepare(project(pilot))
    await schooling.history(project(pilot), script)
    votes = Votes(project(pilot).training.ledger.directory / "first" / "votes.jsonl")
    vote = Vote(left="base: smollm2", right="tuned: first", question="?", answers=("", ""), winner="right")
    votes.add(vote)
    votes.add(vote.model_copy(update={"winner": "tie"}))
    await go(pilot, "setup")
    await pilot.press("escape")
    await until(pilot, lambda: "yes, wins 75% of 2 votes" in picture(pilot))
    await pilot.press("end", "enter")
    await until(pilot, lambda: "preferred by people (2 votes)  " in picture(pilot))
    votes.add(vote.model_copy(update={"winner": "left"}))
    await pilot.press("alt+2", "alt+3")
    await until(pilot, lambda: "preferred by people (3 votes)  " in picture(pilot))


async def test_a_failure_is_told_and_no_number_is_read_as_what_it_is(
    pilot: Pilot[None], script: Script
) -> None:
    name = await started(pilot, script)
    script.tell(name, *schooling.lessons(8), Metric(step=9, total=24, values={"loss": float("nan")}))
    await shows(pilot, "✗ No number any more at step 9")
    script.tell(name, Status(state="failed", detail="The loss is no number any more at step 9."))
    await shows(pilot, "✗ failed", "The loss is no number any more at step 9.", "^r Go on")


async def test_a_bug_in_a_backend_is_told_and_closes_nothing(
    pilot: Pilot[None], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setup(pilot, script)

    async def submit(spec: object, report: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(project(pilot).backend, "submit", submit)
    told: list[str] = []
    monkeypatch.setattr(train(pilot), "notify", lambda message, **_: told.append(message))
    await pilot.press("ctrl+s")
    await until(pilot, lambda: bool(told))
    assert "ZeroDivisionError" in told[0]
    assert train(pilot).place == "setup"


async def test_a_backend_that_cannot_even_estimate_is_told_in_place_of_the_settings(
    pilot: Pilot[None], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(pilot, script)
    schooling.prepare(project(pilot))
    monkeypatch.setattr("phichat.screens.train.work.outlook", refuse)
    await pilot.press("alt+3")
    await shows(pilot, "Nobody answers.", "phichat check", "^r Try again")
    monkeypatch.undo()
    await pilot.press("ctrl+r")
    await until(pilot, lambda: train(pilot).place == "setup")


async def refuse(*_: object) -> None:
    raise UnavailableError("Nobody answers.", "phichat check")


async def test_what_happens_before_the_first_step_is_said(pilot: Pilot[None], script: Script) -> None:
    name = await started(pilot, script)
    await shows(pilot, "waiting for the first news")
    script.tell(name, Step(name="model", state="running", detail="smollm2"))
    await shows(pilot, "model smollm2")


async def test_a_config_that_cannot_be_read_is_told_here_too(
    script: Script, folder: Path, weights: None
) -> None:
    (folder / "phichat.toml").write_text("backnd = 'local'\n", encoding="utf-8")
    app = PhichatApp(opener(script, folder))
    app.animation_level = "none"
    async with app.run_test() as pilot:
        await phase(pilot, "failed")
        await pilot.press("alt+3")
        await shows(pilot, "backnd", "^r Try again")
