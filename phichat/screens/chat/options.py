"""How the model answers in this conversation: system prompt, temperature, length, top-p and seed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static, TextArea

from phichat.screens.choice import Choice
from phichat.screens.oneline import OneLine

if TYPE_CHECKING:
    from phichat.backends.base import ChatOptions

FIELDS = {
    "temperature": ("Temperature", "0 to 2; 0 draws no lots"),
    "max_new_tokens": ("Length", "at most so many tokens"),
    "top_p": ("Top p", "above 0, to 1"),
    "seed": ("Seed", "a number, or empty"),
}


class OptionsPanel(VerticalScroll, can_focus=False):
    """A form; what is valid holds from the next answer on, and is kept with the conversation."""

    SCOPED_CSS = False
    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")
    HELP = """
## Options

They hold for this conversation from the next answer on, and are kept with it. Those of a new one are the
project's, under `[chat]` of `phichat.toml`.
"""
    BINDING_GROUP_TITLE = "Options"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f5", "reset", "As configured", tooltip="Take the project's options again.", id="options.reset"
        ),
        Binding("down", "app.focus_next", "Next", tooltip="The next field.", id="options.next", show=False),
        Binding(
            "up", "app.focus_previous", "Back", tooltip="The field before.", id="options.back", show=False
        ),
    ]

    class Changed(Message):
        """The person wants it otherwise, and that is possible."""

        def __init__(self, options: ChatOptions, system: str) -> None:
            super().__init__()
            self.options = options
            self.system = system

    class Reset(Message):
        """The person wants it as it is configured."""

    def __init__(self, options: ChatOptions, system: str) -> None:
        super().__init__()
        self._options = options
        self._system = system

    def compose(self) -> ComposeResult:
        yield Static("Options of this chat", id="options-title")
        yield Static("System prompt", classes="label")
        system = TextArea(self._system, id="option-system", compact=True, tab_behavior="focus")
        system.cursor_blink = False
        yield system
        for name, (label, hint) in FIELDS.items():
            yield Static(Content.assemble(label, (f"  {hint}", "$text-muted")), classes="label")
            yield OneLine(
                _written(self._options, name), id=f"option-{name}", compact=True, select_on_focus=False
            )
        yield Static(id="options-fault")
        yield Choice("options.reset")

    def fill(self, options: ChatOptions, system: str) -> None:
        """Show other values."""
        self._options, self._system = options, system
        self.query_one("#option-system", TextArea).text = system
        for name in FIELDS:
            self.query_one(f"#option-{name}", Input).value = _written(options, name)

    def action_reset(self) -> None:
        """Take the project's options again."""
        self.post_message(self.Reset())

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._read()

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._read()

    def _read(self) -> None:
        """Take what is written, if it can be so; say what cannot."""
        from pydantic import ValidationError

        from phichat.backends.base import ChatOptions
        from phichat.config.problems import plain

        told: dict[str, Any] = {
            name: self.query_one(f"#option-{name}", Input).value.strip() or None for name in FIELDS
        }
        known = {name: value for name, value in told.items() if value is not None or name == "seed"}
        system = self.query_one("#option-system", TextArea).text.strip()
        faults: dict[str, str] = {}
        try:
            options = ChatOptions.model_validate({**self._options.model_dump(), **known})
        except ValidationError as error:
            faults = {str(each["loc"][0]): plain(each, _number(each["input"])) for each in error.errors()}
        else:
            if (options, system) != (self._options, self._system):
                self._options, self._system = options, system
                self.post_message(self.Changed(options, system))
        self._show_faults({name: fault for name, fault in faults.items() if name in FIELDS})

    def _show_faults(self, faults: dict[str, str]) -> None:
        for name in FIELDS:
            self.query_one(f"#option-{name}").set_class(name in faults, "-wrong")
        told = [f"✗ {FIELDS[name][0]} {fault}." for name, fault in faults.items()]
        self.query_one("#options-fault", Static).update(Content.assemble(("\n".join(told), "$text-error")))


def _number(text: str) -> object:
    """What was typed, as a number where it is one."""
    with contextlib.suppress(ValueError):
        return float(text) if "." in text else int(text)
    return text


def _written(options: ChatOptions, name: str) -> str:
    value = getattr(options, name)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
