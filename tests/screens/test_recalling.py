"""What was said in other conversations, attached to a question."""

from __future__ import annotations

from collections.abc import Sequence

from textual.pilot import Pilot
from textual.widgets import OptionList

from phichat.errors import UnavailableError
from phichat.screens.chat.desk import Desk
from phichat.screens.chat.recalling import RecallScreen
from tests.screens.driving import ask, chat, phase, picture, prompt, settled, until, write
from tests.screens.scripted import Script

SAID = (("Who keeps the lamp?", "Ada keeps the lamp."), ("Lamp oil?", "Forty litres of lamp oil."))


async def talked(pilot: Pilot[None], script: Script, *pairs: Sequence[str]) -> None:
    for question, answer in pairs:
        script.say(answer)
        await ask(pilot, question)
        await settled(pilot)
        await pilot.press("ctrl+n")


async def found(pilot: Pilot[None], words: str, count: int) -> None:
    """Search for words, and go to what was found."""
    await pilot.press("f8")
    await until(pilot, lambda: isinstance(pilot.app.screen, RecallScreen))
    await write(pilot, words)
    places = pilot.app.screen.query_one(OptionList)
    await until(pilot, lambda: len(places.options) == count)
    await pilot.press("down")


async def test_what_was_said_elsewhere_goes_with_one_question(pilot: Pilot[None], script: Script) -> None:
    await talked(pilot, script, *SAID)
    await found(pilot, "ada", 1)
    await pilot.press("enter")
    assert "● Who keeps the lamp?" in picture(pilot)
    await pilot.press("escape")
    await until(pilot, lambda: "▪ with “Who keeps the lamp?”: Ada keeps the lamp." in picture(pilot))
    assert prompt(pilot).has_focus
    script.say("Ada.")
    await ask(pilot, "Who was it?")
    await settled(pilot)
    assert "Ada keeps the lamp." in script.asked[-1][-1].content + script.asked[-1][0].content
    assert not chat(pilot).query_one(Desk).attached
    assert "▪ with" not in picture(pilot)
    assert "From an earlier conversation, “Who keeps the lamp?”" in picture(pilot), (
        "It is told with the question."
    )
    script.say("Yes.")
    await ask(pilot, "Sure?")
    await settled(pilot)
    notes = [each.content for each in script.asked[-1] if "Ada keeps" in each.content]
    assert len(notes) == 1


async def test_it_can_be_taken_back(pilot: Pilot[None], script: Script) -> None:
    await talked(pilot, script, *SAID)
    await found(pilot, "lamp", 4)
    await pilot.press("enter", "down", "enter")
    await pilot.press("escape")
    await until(pilot, lambda: picture(pilot).count("▪ with") == 2)
    await pilot.press("f8", "down", "enter", "escape")
    await until(pilot, lambda: picture(pilot).count("▪ with") == 1)


async def test_a_question_that_is_taken_back_keeps_it(pilot: Pilot[None], script: Script) -> None:
    await talked(pilot, script, *SAID)
    await found(pilot, "ada", 1)
    await pilot.press("enter", "escape")
    await ask(pilot, "Who was it?")
    await until(pilot, lambda: len(script.asked) == 3)
    await pilot.press("escape")
    await until(pilot, lambda: prompt(pilot).text == "Who was it?")
    assert len(chat(pilot).query_one(Desk).attached) == 1


async def test_what_matches_nothing_is_said_and_so_is_an_error(pilot: Pilot[None], script: Script) -> None:
    await talked(pilot, script, SAID[0])
    await pilot.press("f8")
    await write(pilot, "kittiwake")
    await until(pilot, lambda: "Nothing matches." in picture(pilot))
    screen = pilot.app.screen
    assert isinstance(screen, RecallScreen)
    screen.post_message(RecallScreen.Found([], UnavailableError("The history cannot be read.").message))
    await until(pilot, lambda: "The history cannot be read." in picture(pilot))
    await pilot.press("escape")
    await phase(pilot, "ready")
    assert prompt(pilot).has_focus
