"""Asking again, otherwise, and on: every version stays, and one can go between them."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from phichat.backends.base import Message
from phichat.errors import UnavailableError
from phichat.history import Conversation, ConversationLog
from phichat.history.notes import Note
from phichat.screens.chat.messages import Answer, Question
from phichat.workflow import Project
from tests.screens.driving import ask, chat, picture, prompt, settled, until, write
from tests.screens.scripted import Script


def project(pilot: Pilot[None]) -> Project:
    project = chat(pilot).session.project
    assert project is not None
    return project


def shown(pilot: Pilot[None]) -> list[tuple[str, str, str]]:
    return [(turn.question, turn.answer, turn.state) for turn in chat(pilot).conversation.turns]


async def answered(pilot: Pilot[None], script: Script, question: str, answer: str) -> None:
    script.say(answer)
    await ask(pilot, question)
    await settled(pilot)


async def half(pilot: Pilot[None], script: Script) -> None:
    await ask(pilot, "Count.")
    script.answers.put_nowait("One, two,")
    await until(pilot, lambda: "One, two," in picture(pilot))
    await pilot.press("escape")
    await settled(pilot)


async def opened(pilot: Pilot[None], conversation_id: str) -> None:
    chat(pilot)._read(conversation_id)
    await until(pilot, lambda: chat(pilot).conversation.log is not None)


async def test_another_answer_is_a_version_beside_the_first(pilot: Pilot[None], script: Script) -> None:
    await answered(pilot, script, "A city?", "Paris.")
    script.say("Rome.")
    await pilot.press("ctrl+r")
    await settled(pilot)
    assert "Rome." in picture(pilot)
    assert "‹ 2/2 ›" in picture(pilot)
    assert "at temperature 0.7" in picture(pilot), "the same question would have the same answer"
    assert script.asked[1] == [Message(role="user", content="A city?")]
    await pilot.press("shift+tab", "left")
    await until(pilot, lambda: "Paris." in picture(pilot))
    assert "‹ 1/2 ›" in picture(pilot)
    assert isinstance(pilot.app.focused, Answer)
    await pilot.press("right")
    await until(pilot, lambda: "Rome." in picture(pilot))


async def test_what_followed_an_answer_comes_back_with_it(pilot: Pilot[None], script: Script) -> None:
    await answered(pilot, script, "A city?", "Paris.")
    await answered(pilot, script, "Its river?", "The Seine.")
    script.say("Rome.")
    await pilot.press("shift+tab", "up", "up", "r")
    await settled(pilot)
    assert shown(pilot) == [("A city?", "Rome.", "done")]
    await pilot.press("shift+tab", "left")
    await until(pilot, lambda: len(shown(pilot)) == 2)
    assert shown(pilot) == [("A city?", "Paris.", "done"), ("Its river?", "The Seine.", "done")]


async def test_a_question_is_edited_and_sent_again(pilot: Pilot[None], script: Script) -> None:
    await answered(pilot, script, "Capital of France?", "Paris.")
    await pilot.press("shift+tab", "up", "e")
    assert prompt(pilot).text == "Capital of France?"
    assert "Your question, asked anew" in picture(pilot)
    prompt(pilot).text = "Capital of Italy?"
    script.say("Rome.")
    await pilot.press("enter")
    await settled(pilot)
    assert shown(pilot) == [("Capital of Italy?", "Rome.", "done")]
    assert script.asked[1] == [Message(role="user", content="Capital of Italy?")]
    await pilot.press("shift+tab", "up", "left")
    await until(pilot, lambda: shown(pilot) == [("Capital of France?", "Paris.", "done")])
    assert isinstance(pilot.app.focused, Question)


async def test_an_edit_can_be_left(pilot: Pilot[None], script: Script) -> None:
    await answered(pilot, script, "Capital of France?", "Paris.")
    await pilot.press("shift+tab", "e")
    assert prompt(pilot).text == "Paris."
    await pilot.press("escape")
    assert prompt(pilot).text == ""
    await answered(pilot, script, "And of Italy?", "Rome.")
    assert len(shown(pilot)) == 2


async def test_an_edited_answer_is_what_the_model_is_shown_next(pilot: Pilot[None], script: Script) -> None:
    await answered(pilot, script, "Capital of France?", "Lyon.")
    await pilot.press("shift+tab", "e")
    prompt(pilot).text = "Paris."
    await pilot.press("enter")
    await until(pilot, lambda: shown(pilot) == [("Capital of France?", "Paris.", "done")])
    await answered(pilot, script, "Sure?", "Yes.")
    assert script.asked[1][1] == Message(role="assistant", content="Paris.")


async def test_a_stopped_answer_is_gone_on_with(pilot: Pilot[None], script: Script) -> None:
    await half(pilot, script)
    script.say(" three.")
    await pilot.press("ctrl+t")
    await settled(pilot)
    assert shown(pilot) == [("Count.", "One, two, three.", "done")]
    assert script.asked[1][-1] == Message(role="assistant", content="One, two,")
    assert script.options[1].continue_final


async def test_stopping_before_the_first_word_of_another_answer_gives_the_old_one_back(
    pilot: Pilot[None], script: Script
) -> None:
    await answered(pilot, script, "A city?", "Paris.")
    await pilot.press("ctrl+r")
    await until(pilot, lambda: len(script.asked) == 2)
    await pilot.press("escape")
    await settled(pilot)
    assert shown(pilot) == [("A city?", "Paris.", "done")]


async def test_when_another_answer_fails_the_old_one_stays_with_the_reason_below(
    pilot: Pilot[None], script: Script
) -> None:
    await answered(pilot, script, "A city?", "Paris.")
    script.answers.put_nowait(UnavailableError("Nobody is there.", "phichat status"))
    await pilot.press("ctrl+r")
    await settled(pilot)
    await until(pilot, lambda: "Nobody is there." in picture(pilot))
    assert shown(pilot) == [("A city?", "Paris.", "done")]
    script.say("Rome.")
    await pilot.press("ctrl+r")
    await settled(pilot)
    assert shown(pilot) == [("A city?", "Rome.", "done")]


@pytest.mark.parametrize("state", ["partial", "stopped"])
async def test_a_conversation_that_broke_off_is_opened_with_its_partial_answer_marked(
    pilot: Pilot[None], script: Script, state: str
) -> None:
    log = ConversationLog(project(pilot).history, Conversation(project=str(project(pilot).root)))
    await log.ask("Count.")
    answer = await log.begin(model="smollm2")
    await answer.write("One, two,")
    if state == "stopped":
        await answer.stop()
    await opened(pilot, log.conversation.id)
    await until(pilot, lambda: "One, two," in picture(pilot))
    assert shown(pilot) == [("Count.", "One, two,", state)]
    assert ("■ stopped" if state == "stopped" else "■ partial: phichat ended") in picture(pilot)
    script.say(" three.")
    await pilot.press("ctrl+t")
    await settled(pilot)
    assert shown(pilot)[0][1] == "One, two, three."


async def test_a_question_that_nobody_answered_waits_in_the_prompt_when_opened(pilot: Pilot[None]) -> None:
    log = ConversationLog(project(pilot).history, Conversation(project=str(project(pilot).root)))
    await log.ask("Who is there?")
    await opened(pilot, log.conversation.id)
    assert prompt(pilot).text == "Who is there?"
    assert shown(pilot) == []


async def test_a_killed_new_version_leaves_the_answer_before_it(pilot: Pilot[None]) -> None:
    log = ConversationLog(project(pilot).history, Conversation(project=str(project(pilot).root)))
    await log.ask("A city?")
    first = await log.begin()
    await first.write("Paris.")
    await first.stop()
    log.retry()
    await log.begin()
    await opened(pilot, log.conversation.id)
    assert shown(pilot) == [("A city?", "Paris.", "stopped")]
    assert prompt(pilot).text == ""


async def test_a_digit_goes_to_the_prompt_too(pilot: Pilot[None], script: Script) -> None:
    await answered(pilot, script, "A city?", "Paris.")
    await pilot.press("shift+tab", "4", "2")
    assert prompt(pilot).text == "42"
    await write(pilot, "!")
    assert prompt(pilot).text == "42!"


async def test_what_the_model_reads_with_a_question_is_shown_above_it(
    pilot: Pilot[None], script: Script
) -> None:
    held = ConversationLog(project(pilot).history, Conversation(project=str(project(pilot).root)))
    await held.ask("And now?", [Note("What was said before, in short:\n\nThe lamp was lit.", "summary x")])
    script.say("It burns.")
    async for _ in project(pilot).conversations.answer(held):
        pass
    await opened(pilot, held.conversation.id)
    await until(pilot, lambda: "It burns." in picture(pilot))
    seen = picture(pilot)
    assert seen.index("The lamp was lit.") < seen.index("And now?") < seen.index("It burns.")
    assert shown(pilot) == [("And now?", "It burns.", "done")]
