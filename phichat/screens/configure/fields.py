"""A form's rows: the setting's name, what it holds, and where that comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from phichat.screens.oneline import OneLine

if TYPE_CHECKING:
    from phichat.config.form import Row


class Cycle(Static, can_focus=True):
    """One of a few values, or none: then what holds instead is shown."""

    HELP = "One of a few values: the left and right arrow keys, or Space, choose another one."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "left",
            "turn(-1)",
            "Previous value",
            tooltip="Take the value before.",
            id="field.previous",
            show=False,
        ),
        Binding(
            "right,space,enter",
            "turn(1)",
            "Next value",
            tooltip="Take the next value.",
            id="field.next",
            show=False,
        ),
    ]

    class Changed(Message):
        """Another value was chosen."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, choices: tuple[str, ...], text: str, holds: str) -> None:
        super().__init__(classes="control")
        self._texts = ("", *choices)
        self._text = text
        self._holds = holds or "not set"

    def on_mount(self) -> None:
        self._show()

    def on_click(self) -> None:
        self.action_turn(1)

    def action_turn(self, by: int) -> None:
        """Go on to another value."""
        at = self._texts.index(self._text) if self._text in self._texts else 0
        self._text = self._texts[(at + by) % len(self._texts)]
        self._show()
        self.post_message(self.Changed(self._text))

    def _show(self) -> None:
        self.set_class(not self._text, "-unset")
        self.update(Content(f"‹ {self._text or self._holds} ›"))


class FieldRow(Horizontal):
    """One setting."""

    HELP = """
## A setting

What you write here goes into phichat.toml when you save; an empty field says nothing, and the value
below it in the order of precedence holds. Flag beats environment beats project beats user beats default.
"""
    BINDING_GROUP_TITLE = "Setting"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "up", "app.focus_previous", "Up", tooltip="Go to the setting above.", id="field.up", show=False
        ),
        Binding(
            "down", "app.focus_next", "Down", tooltip="Go to the setting below.", id="field.down", show=False
        ),
    ]
    SCOPED_CSS = False
    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    class Edited(Message):
        """The person has changed what the field says."""

        def __init__(self, field: FieldRow, text: str) -> None:
            super().__init__()
            self.field = field
            self.text = text

    def __init__(self, row: Row, text: str, origin: str) -> None:
        super().__init__(classes="field")
        self.row = row
        self._origin = Static(origin, classes="origin")
        holds = row.holds or "not set"
        self.control: Input | Cycle
        if row.choices:
            self.control = Cycle(row.choices, text, row.holds)
        else:
            secret = row.kind == "secret"
            self.control = OneLine(
                text,
                placeholder=holds,
                password=secret,
                compact=True,
                select_on_focus=False,
                classes="control",
            )

    def compose(self) -> ComposeResult:
        yield Static(Content(self.row.key[-1]), classes="name")
        yield self.control
        yield self._origin

    def show(self, origin: str, *, wrong: bool) -> None:
        """Show where the value comes from now, or that it is wrong."""
        self._origin.update(Content(origin))
        self.set_class(wrong, "-wrong")

    def on_descendant_focus(self) -> None:
        self.add_class("-here")

    def on_descendant_blur(self) -> None:
        self.remove_class("-here")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Edited(self, event.value))

    def on_cycle_changed(self, event: Cycle.Changed) -> None:
        event.stop()
        self.post_message(self.Edited(self, event.text))
