"""Help for what has the focus, and every key that does something there."""

from __future__ import annotations

from textwrap import dedent
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Markdown, Static

from phichat.screens.keymap import is_plain
from phichat.screens.keys import Action, actions

NAMES_FROM = 100
"""Columns of the terminal from which on there is room for the names that `[keys]` of the config uses."""

PLAIN = "Moving and editing"


class HelpScreen(ModalScreen[None]):
    """A page over the screen that it explains."""

    CSS_PATH = "help.tcss"
    BINDING_GROUP_TITLE = "Help"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q", "dismiss", "Close", tooltip="Back to the screen.", id="help.close"),
    ]

    def __init__(self, explained: Screen[Any]) -> None:
        super().__init__()
        self._text = _help_of(explained)
        self._groups = _groups(explained)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Markdown(self._text)
            for title, group in self._groups.items():
                yield Static(title, classes="title")
                yield Static(_table(group, names=self.app.size.width >= NAMES_FROM))

    def on_mount(self) -> None:
        page = self.query_one("#help")
        page.border_title = "Help"
        if close := actions(self).get("help.close"):
            page.border_subtitle = f"{close.keys[0]} closes"


def _help_of(screen: Screen[Any]) -> str:
    """The help of the focused widget, then of what it lies in."""
    node: Widget = screen.focused or screen
    return "\n\n".join(
        dedent(each.HELP) for each in node.ancestors_with_self if isinstance(each, Widget) and each.HELP
    )


def _groups(screen: Screen[Any]) -> dict[str, list[Action]]:
    """The keys by what they belong to, what is nearest to the focus first; what every list has comes last."""
    groups: dict[str, list[Action]] = {}
    plain: list[Action] = []
    for action in actions(screen).values():
        title = action.node.BINDING_GROUP_TITLE or ""
        group = plain if is_plain(action.id) else groups.setdefault(title, [])
        group.append(action)
    return groups | ({PLAIN: plain} if plain else {})


def _table(actions: list[Action], *, names: bool) -> Content:
    keys = [" ".join(action.keys) for action in actions]
    width = max(map(len, keys))
    named = max(len(action.binding.description) for action in actions)
    told = max(len(action.binding.tooltip) for action in actions)
    lines = [
        Content.assemble(
            (f"{key:>{width}}", "bold $text-primary"),
            f"  {action.binding.description:<{named}}  ",
            (f"{action.binding.tooltip:<{told}}", "$text-muted"),
            (f"  {action.id}" if names else "", "$text-primary"),
        )
        for key, action in zip(keys, actions, strict=True)
    ]
    return Content("\n").join(lines)
