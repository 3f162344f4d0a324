"""Two models side by side: both answer, one votes, and what a tuned model wins is kept with its run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.pilot import Pilot

from phichat.backends.base import Dataset, Job, TrainSpec
from phichat.errors import UnavailableError
from phichat.runs import Ledger, Run
from phichat.screens.chat.prompt import Prompt
from phichat.screens.compare import screen as compare
from phichat.screens.compare.round import Ballot, Column
from phichat.screens.compare.screen import CompareScreen
from tests.screens.driving import picture, until, write
from tests.screens.scripted import Script


def finished_run(folder: Path) -> str:
    """A training that succeeded, in the project's ledger."""
    spec = TrainSpec(
        name="keeper-1", dataset=Dataset(train_file=folder / "train.jsonl"), base_model="smollm2"
    )
    run = Run(
        name="keeper-1", backend="local", spec=spec, job=Job(id="keeper-1"), state="succeeded", ended=1.0
    )
    return Ledger(folder / ".phichat" / "runs").write(run).name


def prompt_of(screen: CompareScreen) -> Prompt:
    return screen.query_one(Prompt)


async def comparing(pilot: Pilot[None]) -> CompareScreen:
    await pilot.press("f4")
    screen = pilot.app.screen
    assert isinstance(screen, CompareScreen)
    await until(pilot, lambda: screen._pair is not None)
    return screen


async def asked(pilot: Pilot[None], screen: CompareScreen, script: Script, question: str) -> list[Column]:
    """Ask both, let both answer `Yes.`"""
    script.say("Yes.")
    script.say("Yes.")
    await write(pilot, question)
    await pilot.press("enter")
    await until(pilot, lambda: not screen._answering and screen.query_one(Ballot).display)
    return list(screen.query(Column))


async def test_base_and_tuned_of_the_newest_run_answer_and_the_vote_is_kept_with_it(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    name = finished_run(folder)
    screen = await comparing(pilot)
    columns = await asked(pilot, screen, script, "Who are you?")
    assert [column.speaker.side.title for column in columns] == ["base: smollm2", f"tuned: {name}"]
    assert [column.answer for column in columns] == ["Yes.", "Yes."]
    # Who asks on does not vote with the letters of the question.
    await pilot.press("b", "a", "t")
    assert prompt_of(screen).text == "bat"
    assert not (folder / ".phichat" / "runs" / name / "votes.jsonl").exists()
    await pilot.press("f7")
    await until(pilot, lambda: "wins 100% of 1 vote" in picture(pilot))
    assert prompt_of(screen).text == "bat"
    prompt_of(screen).text = ""
    (line,) = (folder / ".phichat" / "runs" / name / "votes.jsonl").read_text(encoding="utf-8").splitlines()
    vote = json.loads(line)
    assert (vote["winner"], vote["question"], vote["answers"]) == ("right", "Who are you?", ["Yes.", "Yes."])
    await asked(pilot, screen, script, "And now?")
    assert [message.content for message in script.asked[-1]] == ["Who are you?", "Yes.", "And now?"]
    await pilot.press("f8", "f8")
    await until(pilot, lambda: "wins 75% of 2 votes: 1 better, 0 worse, 1 tie." in picture(pilot))
    await pilot.press("escape")
    assert not isinstance(pilot.app.screen, CompareScreen)


async def test_without_a_run_two_system_prompts_are_compared(pilot: Pilot[None], script: Script) -> None:
    screen = await comparing(pilot)
    await asked(pilot, screen, script, "Who are you?")
    told = sorted(messages[0].content for messages in script.asked)
    assert told == ["Answer in one short sentence.", "Who are you?"]


async def test_blind_nobody_knows_which_is_which_before_the_vote(
    pilot: Pilot[None], script: Script, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished_run(folder)
    monkeypatch.setattr(compare, "coin", lambda: True)  # the tuned one comes first
    screen = await comparing(pilot)
    await pilot.press("f5")
    columns = await asked(pilot, screen, script, "Who are you?")
    assert [column.speaker.side.title for column in columns] == ["tuned: keeper-1", "base: smollm2"]
    rounds = picture(pilot).partition("Who are you?")[2]
    assert "keeper" not in rounds and "smollm2" not in rounds.partition("Which is better?")[0]
    await pilot.press("f6")
    await until(pilot, lambda: "wins 100% of 1 vote" in picture(pilot))
    assert "A is better: tuned: keeper-1" in picture(pilot)


async def test_one_that_fails_is_told_and_not_voted_on(pilot: Pilot[None], script: Script) -> None:
    screen = await comparing(pilot)
    script.answers.put_nowait(UnavailableError("Nobody is there.", "phichat status"))
    await write(pilot, "Who?")
    await pilot.press("enter")
    await until(pilot, lambda: any(column.failed for column in screen.query(Column)))
    await pilot.press("escape")
    await until(pilot, lambda: not screen._answering)
    assert "Nobody is there. phichat status" in picture(pilot)
    assert "■ stopped" in picture(pilot)
    assert not screen.query_one(Ballot).display


async def test_columns_are_beside_each_other_where_there_is_room(pilot: Pilot[None], script: Script) -> None:
    screen = await comparing(pilot)
    left, right = await asked(pilot, screen, script, "Who are you?")
    assert left.region.bottom <= right.region.y
    await pilot.resize_terminal(120, 40)
    await pilot.pause()
    assert left.region.y == right.region.y
    assert left.region.right <= right.region.x


async def test_other_sides_are_chosen(pilot: Pilot[None], script: Script, folder: Path) -> None:
    finished_run(folder)
    screen = await comparing(pilot)
    await pilot.press("f3")
    await until(pilot, lambda: bool(getattr(pilot.app.screen, "_known", None)))
    pilot.app.screen.query_one("#model-A").value = 2  # type: ignore[attr-defined]
    pilot.app.screen.query_one("#system-A").value = "Be kind."  # type: ignore[attr-defined]
    await pilot.pause()
    await pilot.press("ctrl+s")
    await until(pilot, lambda: screen._pair is not None and screen._pair.left.system == "Be kind.")
    assert screen._pair is not None
    assert screen._pair.run == "keeper-1"
    assert screen._pair.left.model not in ("smollm2", Job(id="keeper-1"))


async def test_one_tuned_model_with_two_system_prompts_has_its_votes_with_its_run(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    finished_run(folder)
    screen = await comparing(pilot)
    await pilot.press("f3")
    await until(pilot, lambda: bool(getattr(pilot.app.screen, "_known", None)))
    pilot.app.screen.query_one("#model-A").value = 0  # type: ignore[attr-defined]
    pilot.app.screen.query_one("#system-A").value = "[/INST] Be kind."  # type: ignore[attr-defined]
    await pilot.pause()
    await pilot.press("ctrl+s")
    await until(pilot, lambda: screen._pair is not None and screen._pair.left.system == "[/INST] Be kind.")
    assert screen._pair is not None
    assert (screen._pair.left.title, screen._pair.run) == ("tuned: keeper-1, “[/INST] Be kind.”", "keeper-1")
    await pilot.press("f3")  # what looks like markup is a text like any other
    await until(pilot, lambda: bool(getattr(pilot.app.screen, "_known", None)))
    assert "[/INST] Be kind." in picture(pilot)
