"""Earlier conversations, the options of one, and the way back to data."""

from __future__ import annotations

import json
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from phichat.data import DataOptions, prepare
from phichat.history import Conversation
from phichat.history.notes import Note
from phichat.screens.chat.exporting import ExportScreen, free, slug
from phichat.screens.chat.messages import Answer, Question
from phichat.screens.chat.options import OptionsPanel
from phichat.screens.chat.sidebar import ConversationList, Row, Sidebar
from phichat.screens.chat.transcript import Transcript
from phichat.testing.harness import ignore
from phichat.workflow import Project
from tests.screens.driving import ask, chat, picture, prompt, settled, until, write
from tests.screens.scripted import Script


def project(pilot: Pilot[None]) -> Project:
    project = chat(pilot).session.project
    assert project is not None
    return project


async def titles(pilot: Pilot[None], *, deleted: bool = False) -> list[str]:
    page = await project(pilot).history.page(deleted=deleted)
    return [conversation.title for conversation in page.conversations]


async def talked(pilot: Pilot[None], script: Script, *pairs: tuple[str, str]) -> None:
    """Hold conversations of one question each, and begin a new one."""
    for question, answer in pairs:
        script.say(answer)
        await ask(pilot, question)
        await settled(pilot)
        await pilot.press("ctrl+n")


async def sidebar(pilot: Pilot[None], rows: int) -> Sidebar:
    await pilot.press("f2")
    shown = chat(pilot).query_one(Sidebar)
    await until(pilot, lambda: len(shown.query_one(ConversationList).options) == rows)
    return shown


async def test_a_conversation_is_found_by_what_was_said_and_gone_on_with(
    pilot: Pilot[None], script: Script
) -> None:
    await talked(pilot, script, ("Capital of France?", "Paris."), ("Height of K2?", "8,611 metres."))
    shown = await sidebar(pilot, 2)
    assert "on this machine" in picture(pilot)
    await write(pilot, "paris")
    await until(pilot, lambda: len(shown.query_one(ConversationList).options) == 1)
    assert "Paris." in picture(pilot)
    await pilot.press("enter")
    await until(pilot, lambda: len(chat(pilot).conversation.turns) == 1)
    assert not chat(pilot).query(Sidebar)  # it had taken the place of the conversation
    script.say("Rome.")
    await ask(pilot, "And of Italy?")
    await settled(pilot)
    assert [message.content for message in script.asked[-1]] == [
        "Capital of France?",
        "Paris.",
        "And of Italy?",
    ]
    assert len(await titles(pilot)) == 2


async def test_a_conversation_is_renamed(pilot: Pilot[None], script: Script) -> None:
    await talked(pilot, script, ("Capital of France?", "Paris."))
    await sidebar(pilot, 1)
    await pilot.press("down", "r")
    field = chat(pilot).query_one("#chats-rename", Input)
    assert field.value == "Capital of France?"
    field.value = "France"
    await pilot.press("enter")
    await until(pilot, lambda: "France" in picture(pilot) and "Capital" not in picture(pilot))
    assert await titles(pilot) == ["France"]


async def test_what_is_deleted_is_brought_back(pilot: Pilot[None], script: Script) -> None:
    await talked(pilot, script, ("One?", "Yes."), ("Two?", "Yes."))
    shown = await sidebar(pilot, 2)
    await pilot.press("down", "d")
    await until(pilot, lambda: len(shown.query_one(ConversationList).options) == 1)
    assert await titles(pilot, deleted=True) == ["Two?"]
    await pilot.press("u")
    await until(pilot, lambda: len(shown.query_one(ConversationList).options) == 2)
    assert await titles(pilot, deleted=True) == []
    for left in (1, 0):
        await pilot.press("d")
        await until(pilot, lambda: len(shown.query_one(ConversationList).options) == left)  # noqa: B023
    await pilot.press("u")  # the list is empty, and the keyboard still with it
    await until(pilot, lambda: len(shown.query_one(ConversationList).options) == 1)


async def test_a_conversation_is_exported_beside_the_project(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    await talked(pilot, script, ("Capital of France?", "Paris."))
    await sidebar(pilot, 1)
    await pilot.press("down", "x")
    assert isinstance(pilot.app.screen, ExportScreen)
    await pilot.press("down", "down", "enter")
    await until(pilot, lambda: not isinstance(pilot.app.screen, ExportScreen))
    row = json.loads((folder / "capital-of-france.jsonl").read_text(encoding="utf-8"))
    assert row["messages"][1] == {"role": "assistant", "content": "Paris."}


def test_no_export_takes_the_place_of_another_file(tmp_path: Path) -> None:
    path = tmp_path / f"{slug('¿Qué? / a b')}.md"
    assert path.name == "qué-a-b.md"
    path.touch()
    assert free(path).name == "qué-a-b-2.md"


async def test_the_last_conversation_is_one_key_away_at_the_start(pilot: Pilot[None], script: Script) -> None:
    await talked(pilot, script, ("Capital of France?", "Paris."))
    chat(pilot)._latest = None  # as when it starts
    await chat(pilot).session_changed()
    await until(pilot, lambda: "^t" in picture(pilot))
    await pilot.press("ctrl+t")
    await until(pilot, lambda: "Paris." in picture(pilot))
    await pilot.press("up")
    assert prompt(pilot).text == "Capital of France?"


async def test_options_hold_for_this_conversation_and_are_kept_with_it(
    pilot: Pilot[None], script: Script
) -> None:
    await pilot.press("f3")
    panel = chat(pilot).query_one(OptionsPanel)
    panel.query_one("#option-temperature", Input).value = "0.2"
    panel.query_one("#option-seed", Input).value = "7"
    panel.query_one("#option-system", TextArea).text = "Be brief."
    await pilot.pause()
    await pilot.press("escape")
    await talked(pilot, script, ("Capital of France?", "Paris."))
    assert (script.options[0].temperature, script.options[0].seed) == (0.2, 7)
    assert script.asked[0][0].content == "Be brief."
    await talked(pilot, script, ("Anew?", "Yes."))
    assert (script.options[1].temperature, script.options[1].seed) == (0, None)
    assert len(script.asked[1]) == 1
    page = await project(pilot).history.page()
    chat(pilot)._read(page.conversations[1].id)
    await until(pilot, lambda: len(chat(pilot).conversation.turns) == 1)
    await pilot.press("f3")
    assert chat(pilot).query_one("#option-temperature", Input).value == "0.2"
    assert chat(pilot).query_one("#option-system", TextArea).text == "Be brief."
    chat(pilot).query_one("#option-system", TextArea).text = ""
    await pilot.pause()
    await pilot.press("escape")
    await talked(pilot, script, ("And of Italy?", "Rome."))
    assert [message.role for message in script.asked[2]] == ["user", "assistant", "user"]
    assert (await project(pilot).history.get(page.conversations[1].id)).system == ""


async def test_an_option_that_cannot_be_is_told_and_does_not_hold(pilot: Pilot[None], script: Script) -> None:
    await pilot.press("f3")
    chat(pilot).query_one("#option-temperature", Input).value = "5"
    await until(pilot, lambda: "✗ Temperature must be at most 2, not 5." in picture(pilot))
    assert chat(pilot).conversation.options is None


async def test_an_edited_answer_becomes_a_row_that_training_takes(
    pilot: Pilot[None], script: Script, folder: Path
) -> None:
    script.say("Lyon.")
    await ask(pilot, "Capital of France?")
    await settled(pilot)
    await pilot.press("shift+tab", "e")
    prompt(pilot).text = "Paris."
    await pilot.press("enter")
    await until(pilot, lambda: chat(pilot).conversation.turns[0].answer == "Paris.")
    for _ in range(2):  # the same again adds nothing
        chat(pilot).query("Answer").last().focus()
        await pilot.press("d")
    told = "Row 1 of .phichat/from-chat.jsonl. To train on it: phichat data .phichat/from-chat.jsonl"
    await until(pilot, lambda: [n.message for n in pilot.app._notifications].count(told) == 2)
    rows = (folder / ".phichat" / "from-chat.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(row)["messages"] for row in rows] == [
        [{"role": "user", "content": "Capital of France?"}, {"role": "assistant", "content": "Paris."}]
    ]
    options = DataOptions(tokens=False, test_size=0)
    prepared = await prepare(str(folder / ".phichat" / "from-chat.jsonl"), options, folder / "data", ignore)
    assert prepared.manifest.counts.train == 1
    (row,) = prepared.dataset.train_file.read_text(encoding="utf-8").splitlines()
    assert json.loads(row)["messages"][1]["content"] == "Paris."


async def test_a_part_of_an_answer_is_no_row(pilot: Pilot[None], script: Script, folder: Path) -> None:
    await ask(pilot, "Count.")
    script.answers.put_nowait("One, two,")
    await until(pilot, lambda: "One, two," in picture(pilot))
    await pilot.press("escape")
    await settled(pilot)
    await pilot.press("shift+tab", "d")
    await until(pilot, lambda: any("break off" in n.message for n in pilot.app._notifications))
    assert not (folder / ".phichat" / "from-chat.jsonl").exists()


async def test_all_projects_are_shown_when_asked_for(pilot: Pilot[None], script: Script) -> None:
    await talked(pilot, script, ("Here?", "Yes."))
    await project(pilot).history.create(Conversation(title="Elsewhere", project="/another"))
    shown = await sidebar(pilot, 1)
    await pilot.press("down", "a")
    await until(pilot, lambda: len(shown.query_one(ConversationList).options) == 2)
    assert "Elsewhere" in picture(pilot)


async def kept(pilot: Pilot[None], turns: int) -> str:
    """A long conversation in the history, with a word in its middle that is nowhere else; gives its id."""
    log = await chat(pilot).session.conversation()
    for number in range(turns):
        question = await log.ask(f"Question {number}?")
        text = "\n\n".join(f"Line {line}." for line in range(60)) if number == turns // 2 else "Yes."
        middle = text.replace("Line 40.", "Line 40 has a kittiwake.")
        await log._add("assistant", middle, question.id)
    return log.conversation.id


async def test_a_hit_in_the_middle_of_a_long_conversation_is_shown(pilot: Pilot[None]) -> None:
    await kept(pilot, 40)
    shown = await sidebar(pilot, 1)
    await write(pilot, "kittiwake")
    await until(pilot, lambda: bool(shown._rows and shown._rows[0].message_id))
    await pilot.press("enter")
    await until(pilot, lambda: "Line 40 has a kittiwake." in picture(pilot))
    held, view = chat(pilot), chat(pilot).query_one(Transcript)
    assert isinstance(held.focused, Answer)
    assert held.focused.turn is held.conversation.turns[20]
    assert len(view.query("TurnView")) == 10
    assert (view.hidden, view.later) == (16, 14)
    await pilot.press("ctrl+end")
    await until(pilot, lambda: "Question 39?" in picture(pilot))
    assert (view.hidden, view.later) == (30, 0)


async def test_a_question_from_the_middle_goes_to_the_end(pilot: Pilot[None], script: Script) -> None:
    found = await kept(pilot, 40)
    (hit, *_) = await project(pilot).history.search("kittiwake")
    chat(pilot)._read(found, Row(hit.conversation, hit.snippet, hit.message_id or ""))
    await until(pilot, lambda: "kittiwake" in picture(pilot))
    view = chat(pilot).query_one(Transcript)
    view.scroll_end(animate=False)
    await pilot.press("pagedown")
    await until(pilot, lambda: view.later == 4)
    script.say("Done.")
    await ask(pilot, "And?")
    await settled(pilot)
    assert "Done." in picture(pilot)
    assert view.later == 0


async def test_a_hit_in_another_version_is_shown_and_that_is_said(pilot: Pilot[None], script: Script) -> None:
    script.say("Lyon.")
    await ask(pilot, "Capital of France?")
    await settled(pilot)
    script.say("Paris.")
    await pilot.press("ctrl+r")
    await settled(pilot)
    shown = await sidebar(pilot, 1)
    await write(pilot, "lyon")
    await until(pilot, lambda: bool(shown._rows and shown._rows[0].message_id))
    await pilot.press("enter")
    await until(pilot, lambda: "Lyon." in picture(pilot))
    assert any("another version" in each.message for each in pilot.app._notifications)
    assert isinstance(chat(pilot).focused, Answer)


async def test_a_hit_in_a_note_leads_to_its_question(
    pilot: Pilot[None],
) -> None:
    log = await chat(pilot).session.conversation()
    await log.ask("And now?", [Note("The keeper was called Ada.", "excerpt x y")])
    await log._add("assistant", "Ada.", log.branch[-1].id)
    note = log.branch[0]
    chat(pilot)._read(log.conversation.id, Row(log.conversation, None, note.id))
    await until(pilot, lambda: isinstance(chat(pilot).focused, Question))
