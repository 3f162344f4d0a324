"""The names of all keys, and what becomes of those that a person chooses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.dom import DOMNode
from textual.pilot import Pilot
from textual.widgets import Input, TextArea
from textual_fspicker import FileOpen

from phichat.app import PhichatApp
from phichat.screens.chat.options import OptionsPanel
from phichat.screens.keymap import every_binding, settle, widgets
from tests.screens.driving import chat, phase, picture, prompt, until, write
from tests.screens.scripted import Script


def rebind(**keys: str) -> None:
    """Choose keys, as a person does in their own configuration."""
    config = Path(os.environ["PHICHAT_HOME"]) / "config" / "config.toml"
    config.parent.mkdir(parents=True)
    lines = [f'"{name.replace("__", ".")}" = "{key}"\n' for name, key in keys.items()]
    config.write_text(f"[keys]\n{''.join(lines)}", encoding="utf-8")


def test_every_key_of_every_widget_can_be_rebound_and_is_explained() -> None:
    owners: list[type[DOMNode]] = [PhichatApp, *widgets()]
    assert {Input, TextArea, FileOpen, OptionsPanel} <= set(owners)
    every = [(owner, binding) for owner in owners for binding in every_binding(owner)]
    assert not [(owner, each) for owner, each in every if not (each.id and each.description and each.tooltip)]
    names = {(each.id, each.action) for _, each in every}
    assert len({name for name, _ in names}) == len(names), "One id is one action."


async def test_every_mounted_widget_has_the_names(pilot: Pilot[None]) -> None:
    await pilot.press("f3")
    await pilot.press("ctrl+p")
    nodes = [node for screen in pilot.app.screen_stack for node in screen.walk_children(with_self=True)]
    assert len(nodes) > 40
    nameless = [
        (node, each) for node in nodes for _, each in node._bindings if not (each.id and each.tooltip)
    ]
    assert not nameless


async def test_the_keys_of_a_field_are_rebound_like_any_other(app: PhichatApp, script: Script) -> None:
    rebind(input__delete_left_all="f6", edit__delete_left="f7")
    script.loaded.set()
    async with app.run_test() as pilot:
        await phase(pilot, "ready")
        await write(pilot, "abc")
        await pilot.press("f7")
        assert prompt(pilot).text == "ab"
        await pilot.press("backspace")
        assert prompt(pilot).text == "ab"
        await pilot.press("f2")
        field = chat(pilot).query_one("#chats-search", Input)
        await write(pilot, "lighthouse")
        await pilot.press("f6")
        assert field.value == ""


async def test_a_name_that_does_not_exist_is_said(app: PhichatApp) -> None:
    rebind(prompt__sned="f6")
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await until(pilot, lambda: "There is no key binding 'prompt.sned'" in picture(pilot))
        assert "'prompt.send'" in picture(pilot)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"prompt.send": "f1"}, ["The key f1 of 'prompt.send' is also that of 'app.help'"]),
        ({"chat.new": "f3"}, ["The key f3 of 'chat.new' is also that of 'chat.options'"]),
        (
            {"chat.new": "f6", "chat.copy": "ctrl+y,f6"},
            ["The key f6 of 'chat.copy' is also that of 'chat.new'"],
        ),
        ({"chat.new": "f3", "chat.options": "f6"}, []),
        ({"edit.delete_left": "ctrl+h"}, []),
    ],
)
def test_keys_that_two_things_have_are_said_in_a_sentence(wanted: dict[str, str], told: list[str]) -> None:
    holds, said = settle(PhichatApp, wanted)
    assert holds == wanted
    assert [each.partition(": ")[0] for each in said] == told
