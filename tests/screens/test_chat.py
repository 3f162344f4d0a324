"""Asking, reading, stopping and going on, as a person does it."""

from __future__ import annotations

import pytest
from textual.containers import VerticalScroll
from textual.pilot import Pilot

from phichat.app import PhichatApp
from phichat.backends.base import Message, Usage
from phichat.errors import BackendError, NotFoundError, UnavailableError
from phichat.screens.chat.conversation import Turn
from phichat.screens.chat.messages import Answer, Said, TurnView
from phichat.screens.chat.screen import ChatScreen
from phichat.screens.chat.transcript import SLACK, TAIL, Transcript
from tests.screens.driving import (
    ask,
    chat,
    phase,
    picture,
    prompt,
    settled,
    shown_answer,
    strips,
    until,
    write,
)
from tests.screens.scripted import Script

LONG = "\n\n".join(f"Paragraph {number}." for number in range(40))


def turns(pilot: Pilot[None]) -> list[tuple[str, str, str]]:
    return [(turn.question, turn.answer, turn.state) for turn in chat(pilot).conversation.turns]


async def test_an_answer_is_shown_while_it_is_written_and_then_with_its_cost(
    pilot: Pilot[None], script: Script
) -> None:
    await ask(pilot, "Who founded Microsoft?")
    script.answers.put_nowait("Bill Gates ")
    await until(pilot, lambda: "Bill Gates" in picture(pilot))
    assert "answering" in picture(pilot)
    script.say("and Paul Allen.")
    await settled(pilot)
    assert shown_answer(pilot) == "Bill Gates and Paul Allen."
    assert turns(pilot) == [("Who founded Microsoft?", "Bill Gates and Paul Allen.", "done")]
    assert "1 token · first after" in picture(pilot)
    assert "● ready" in picture(pilot)


async def test_what_is_said_commands_no_terminal(pilot: Pilot[None], script: Script) -> None:
    command = "\x1b]52;c;aGFja2Vk\x1b\\\x9b2J"
    script.say(f"An answer{command} goes on", f"\n\n```\ncode{command} as well\n```\n")
    await ask(pilot, f"A question{command}?")
    await settled(pilot)
    await write(pilot, f"A draft{command}")
    for text in ("question]52", "answer]52", "code]52", "draft]52"):
        await until(pilot, lambda text=text: text in picture(pilot))  # type: ignore[misc]
    drawn = "".join(segment.text for strip in strips(pilot) for segment in strip)
    assert drawn.isprintable()
    assert turns(pilot)[0][1].count(command) == 2, "what is kept is what was said"


async def test_the_next_question_comes_with_what_was_said_before(pilot: Pilot[None], script: Script) -> None:
    script.say("Paris.")
    await ask(pilot, "Capital of France?")
    await settled(pilot)
    script.say("Rome.")
    await ask(pilot, "And of Italy?")
    await settled(pilot)
    assert script.asked[1] == [
        Message(role="user", content="Capital of France?"),
        Message(role="assistant", content="Paris."),
        Message(role="user", content="And of Italy?"),
    ]


async def test_escape_stops_keeps_the_partial_answer_and_the_conversation_goes_on(
    pilot: Pilot[None], script: Script
) -> None:
    await ask(pilot, "Count.")
    script.answers.put_nowait("One, two,")
    await until(pilot, lambda: "One, two," in picture(pilot))
    await pilot.press("escape")
    script.answers.put_nowait(" three")
    await settled(pilot)
    assert turns(pilot) == [("Count.", "One, two,", "stopped")]
    assert shown_answer(pilot) == "One, two,"
    assert "■ stopped" in picture(pilot)
    assert script.closed_answers == 1
    script.answers.get_nowait()
    script.say("three.")
    await ask(pilot, "Go on.")
    await settled(pilot)
    assert [message.content for message in script.asked[1]] == ["Count.", "One, two,", "Go on."]


async def test_what_had_come_but_was_not_yet_drawn_is_kept_when_stopped(
    pilot: Pilot[None], script: Script
) -> None:
    await ask(pilot, "Count.")
    for piece in ("One", ", two", ", three"):
        script.answers.put_nowait(piece)
    await until(pilot, lambda: chat(pilot).conversation.turns[0].answer == "One, two, three")
    await pilot.press("escape")
    await settled(pilot)
    assert shown_answer(pilot) == "One, two, three"


async def test_what_was_on_its_way_when_stopped_comes_too_late(pilot: Pilot[None], script: Script) -> None:
    await ask(pilot, "Count.")
    script.answers.put_nowait("One")
    await until(pilot, lambda: bool(turns(pilot)[0][1]))
    await pilot.press("escape")
    screen = chat(pilot)
    screen.post_message(ChatScreen.Spoke(screen.conversation.turns[0], ", two"))
    await settled(pilot)
    assert turns(pilot) == [("Count.", "One", "stopped")]
    assert shown_answer(pilot) == "One"


async def test_stopping_before_the_first_word_gives_the_question_back(
    pilot: Pilot[None], script: Script
) -> None:
    await ask(pilot, "Never mind")
    await until(pilot, lambda: bool(script.asked))
    await pilot.press("escape")
    await settled(pilot)
    assert prompt(pilot).text == "Never mind"
    assert turns(pilot) == []
    assert "Ask a question" in picture(pilot)


async def test_a_question_that_is_sent_while_the_model_loads_is_answered_when_it_is_there(
    app: PhichatApp, script: Script
) -> None:
    async with app.run_test() as pilot:
        await ask(pilot, "Who are you?")
        await phase(pilot, "preparing")
        await write(pilot, "And then")
        assert "Waiting for the model" in picture(pilot)
        assert script.asked == []
        script.say("A lighthouse keeper.")
        script.loaded.set()
        await settled(pilot)
        assert shown_answer(pilot) == "A lighthouse keeper."
        assert prompt(pilot).text == "And then"


async def test_a_second_question_waits_in_the_prompt(pilot: Pilot[None], script: Script) -> None:
    await ask(pilot, "First")
    await until(pilot, lambda: bool(script.asked))
    await ask(pilot, "Second")
    assert prompt(pilot).text == "Second"
    assert len(turns(pilot)) == 1


@pytest.mark.parametrize("begun", ["", "Half of "])
async def test_an_error_is_a_panel_with_its_hint_and_a_key_that_tries_again(
    pilot: Pilot[None], script: Script, begun: str
) -> None:
    if begun:
        script.answers.put_nowait(begun)
    script.answers.put_nowait(UnavailableError("The server does not answer.", "phichat status"))
    await ask(pilot, "Why?")
    await settled(pilot)
    seen = picture(pilot)
    assert "✗ The server does not answer." in seen
    assert "phichat status" in seen
    assert "^r Try again" in seen
    assert ("✗ broken off" in seen) == bool(begun)
    script.say("Because.")
    await pilot.press("ctrl+r")
    await settled(pilot)
    assert turns(pilot) == [("Why?", "Because.", "done")]
    assert "✗" not in picture(pilot)
    assert [message.content for message in script.asked[1]] == ["Why?"]


async def test_a_plugins_stray_exception_is_shown_as_its_bug_and_closes_nothing(
    pilot: Pilot[None], script: Script
) -> None:
    script.answers.put_nowait(KeyError("choices"))
    await ask(pilot, "Why?")
    await settled(pilot)
    assert "KeyError: 'choices'" in picture(pilot)
    script.say("Because.")
    await ask(pilot, "Why not?")
    await settled(pilot)
    assert shown_answer(pilot) == "Because."


async def test_an_answer_that_was_cut_off_says_so(pilot: Pilot[None], script: Script) -> None:
    script.say("And so", finish_reason="length")
    await ask(pilot, "Tell")
    await settled(pilot)
    assert "cut off by the length limit" in picture(pilot)


async def test_old_messages_that_did_not_fit_are_counted(pilot: Pilot[None], script: Script) -> None:
    script.answers.put_nowait("Yes.")
    script.answers.put_nowait(
        Usage(prompt_tokens=9, completion_tokens=2, finish_reason="stop", dropped_messages=4)
    )
    await ask(pilot, "Well?")
    await settled(pilot)
    assert "without 4 old messages, for want of room" in picture(pilot)


async def test_the_view_follows_the_end_only_while_one_is_there(pilot: Pilot[None], script: Script) -> None:
    view = chat(pilot).query_one(Transcript)
    await ask(pilot, "Tell me a lot.")
    script.answers.put_nowait(LONG)
    await until(pilot, lambda: "Paragraph 39." in picture(pilot))
    assert view.scroll_y == view.max_scroll_y > 0
    await pilot.press("pageup")
    here = view.scroll_y
    script.answers.put_nowait("\n\n" + LONG)
    await until(pilot, lambda: shown_answer(pilot).count("Paragraph 39.") == 2)
    assert view.scroll_y == here < view.max_scroll_y
    await pilot.press("ctrl+end")
    script.say("\n\nThe end.")
    await settled(pilot)
    assert view.scroll_y == view.max_scroll_y
    assert "The end." in picture(pilot)


async def test_a_new_question_goes_to_the_end(pilot: Pilot[None], script: Script) -> None:
    view = chat(pilot).query_one(Transcript)
    script.say(LONG)
    await ask(pilot, "Tell me a lot.")
    await settled(pilot)
    await pilot.press("pageup")
    await ask(pilot, "And?")
    await until(pilot, lambda: len(script.asked) == 2)
    assert view.scroll_y == view.max_scroll_y


async def test_only_the_tail_is_mounted_and_earlier_turns_come_when_asked_for(
    pilot: Pilot[None], script: Script
) -> None:
    screen = chat(pilot)
    view = screen.query_one(Transcript)
    screen.conversation.turns = [Turn(f"q{number}", f"a{number}", "done") for number in range(3 * TAIL)]
    await view.show(screen.conversation)
    assert len(view.query(TurnView)) == TAIL
    await pilot.press("ctrl+l")
    assert len(view.query(TurnView)) == 2 * TAIL
    assert [each.turn.question for each in view.query(TurnView)] == [f"q{n}" for n in range(TAIL, 3 * TAIL)]
    view.scroll_home(animate=False)
    await pilot.pause()
    await pilot.press("pageup")
    assert len(view.query(TurnView)) == 3 * TAIL
    assert not screen.check_action("earlier", ())


async def test_earlier_turns_push_nothing_out_of_sight(pilot: Pilot[None]) -> None:
    screen = chat(pilot)
    view = screen.query_one(Transcript)
    screen.conversation.turns = [Turn(f"q{number}", "word\n" * 8, "done") for number in range(3 * TAIL)]
    await view.show(screen.conversation)
    view.scroll_home(animate=False)
    await pilot.pause()
    assert f"q{2 * TAIL}" in picture(pilot)
    await pilot.press("pageup")
    await pilot.pause()
    assert view.scroll_y > 0
    await pilot.press("pagedown")
    assert f"q{2 * TAIL}" in picture(pilot)


async def test_turns_that_have_gathered_are_taken_away_from_the_top(
    pilot: Pilot[None], script: Script
) -> None:
    screen = chat(pilot)
    view = screen.query_one(Transcript)
    screen.conversation.turns = [Turn(f"q{number}", "a", "done") for number in range(TAIL)]
    await view.show(screen.conversation)
    for number in range(SLACK + 1):
        script.say("yes")
        await ask(pilot, f"more {number}")
        await settled(pilot)
    assert len(view.query(TurnView)) == TAIL
    assert view.hidden == SLACK + 1


async def test_new_chat_begins_an_empty_conversation(pilot: Pilot[None], script: Script) -> None:
    script.say("Paris.")
    await ask(pilot, "Capital of France?")
    await settled(pilot)
    await pilot.press("ctrl+n")
    assert turns(pilot) == []
    script.say("Hello.")
    await ask(pilot, "Hi")
    await settled(pilot)
    assert [message.content for message in script.asked[1]] == ["Hi"]


async def test_the_last_answer_is_copied_as_it_was_written(pilot: Pilot[None], script: Script) -> None:
    script.say("**Paris**, of course.")
    await ask(pilot, "Capital of France?")
    await settled(pilot)
    await pilot.press("ctrl+o")
    await until(pilot, lambda: pilot.app.clipboard == "**Paris**, of course.")


async def test_messages_are_reached_by_keyboard_and_copied(pilot: Pilot[None], script: Script) -> None:
    script.say("Paris.")
    await ask(pilot, "Capital of France?")
    await settled(pilot)
    await pilot.press("shift+tab")
    assert isinstance(pilot.app.focused, Answer)
    await pilot.press("up", "c")
    await until(pilot, lambda: pilot.app.clipboard == "Capital of France?")
    await pilot.press("escape")
    assert prompt(pilot).has_focus


async def test_a_letter_goes_to_the_prompt_wherever_the_focus_is(pilot: Pilot[None], script: Script) -> None:
    script.say("Paris.")
    await ask(pilot, "Capital of France?")
    await settled(pilot)
    await pilot.press("shift+tab", "H", "i")
    assert prompt(pilot).text == "Hi"
    await pilot.press("shift+tab")
    await write(pilot, " there")
    assert prompt(pilot).text == "Hi there"


async def test_a_click_on_a_message_leaves_the_keyboard_to_the_prompt(
    pilot: Pilot[None], script: Script
) -> None:
    script.say("Paris.")
    await ask(pilot, "Capital of France?")
    await settled(pilot)
    await pilot.click(Said)
    assert prompt(pilot).has_focus


async def test_control_c_stops_an_answer_as_in_any_terminal(pilot: Pilot[None], script: Script) -> None:
    await ask(pilot, "Count.")
    script.answers.put_nowait("One")
    await until(pilot, lambda: bool(chat(pilot).conversation.turns[0].answer))
    await pilot.press("ctrl+c")
    await settled(pilot)
    assert turns(pilot) == [("Count.", "One", "stopped")]


async def test_a_model_that_speaks_markup_is_shown_as_it_speaks(pilot: Pilot[None], script: Script) -> None:
    script.say("[bold]no[/bold] [red")
    await ask(pilot, "[b]Markup?[/b]")
    await settled(pilot)
    assert "[b]Markup?[/b]" in picture(pilot)
    assert "[bold]no[/bold] [red" in picture(pilot)


async def test_an_error_that_speaks_markup_is_shown_as_it_speaks(pilot: Pilot[None], script: Script) -> None:
    script.answers.put_nowait(BackendError("[/oops] went [wrong", "[try] phichat check"))
    await ask(pilot, "Why?")
    await settled(pilot)
    assert "[/oops] went [wrong" in picture(pilot)
    assert "[try] phichat check" in picture(pilot)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16), (200, 60)])
async def test_every_part_is_to_be_seen_in_every_size(
    app: PhichatApp, script: Script, size: tuple[int, int]
) -> None:
    script.loaded.set()
    async with app.run_test(size=(100, 30)) as pilot:
        await phase(pilot, "ready")
        script.say(LONG)
        await ask(pilot, "Tell")
        await settled(pilot)
        await pilot.resize_terminal(*size)
        await pilot.pause()
        width, height = size
        assert all(
            line.cell_length == width for line in pilot.app.screen._compositor.render_strips(pilot.app.size)
        )
        field = prompt(pilot).region
        assert 0 <= field.x < field.right <= width
        assert field.bottom == height - 2  # below it the line of what is alive, and the keys
        assert chat(pilot).query_one(VerticalScroll).size.height >= height // 2
        assert "ready" in picture(pilot)


async def test_the_field_grows_with_its_text_and_leaves_room_for_the_conversation(pilot: Pilot[None]) -> None:
    await write(pilot, "\n" * 3)
    assert prompt(pilot).size.height == 4
    await write(pilot, "\n" * 30)
    assert chat(pilot).query_one(Transcript).size.height >= 8


async def test_when_what_answered_is_gone_the_next_question_finds_what_there_is(
    pilot: Pilot[None], script: Script
) -> None:
    script.answers.put_nowait(NotFoundError("There is no deployment 'smollm2' any more.", "phichat deploy"))
    await ask(pilot, "Who are you?")
    await settled(pilot)
    assert "There is no deployment 'smollm2' any more." in picture(pilot)
    await until(pilot, lambda: script.deploys == 2 and chat(pilot).session.readiness.phase == "ready")
    script.say("A keeper.")
    await pilot.press("ctrl+r")
    await settled(pilot)
    assert shown_answer(pilot) == "A keeper."
