"""A button for something that a key does as well."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from phichat.screens.keys import possible


class Choice(Static, can_focus=True):
    """A button for a binding: it says the same, shows its key, and does the same."""

    HELP = "A button: Enter or a click does what it says. The key beside its name does it from anywhere."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "press", "Press", tooltip="Do what the button says.", id="choice.press"),
    ]

    DEFAULT_CSS = Path(__file__).with_suffix(".tcss").read_text(encoding="utf-8")

    def __init__(self, binding: str, title: str = "") -> None:
        super().__init__(classes="choice")
        self._binding = binding
        self._title = title
        """What it says instead of the binding's own name."""

    def on_mount(self) -> None:
        self._show()
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._show())

    def call(self, title: str) -> None:
        """Say something else than before."""
        self._title = title
        self._show()

    async def on_click(self) -> None:
        await self.action_press()

    async def action_press(self) -> None:
        """Do what the key does, unless that is not possible any more."""
        if action := possible(self.screen, self._binding):
            await action.run()

    def _show(self) -> None:
        action = possible(self.screen, self._binding)
        self.display = action is not None
        if action:
            self.tooltip = action.binding.tooltip
            key = f"{action.keys[0]} " if action.keys else ""
            self.update(Content.assemble((key, "bold"), self._title or action.binding.description))
