"""How many of its endpoint's requests a deployment is to have: some, all at once, or all in steps."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from phichat.screens.deploy.rows import bar

GRADUALLY = 0
"""Stands for 10, 50, then all of the requests, where a number of percent is expected."""


class ShareScreen(ModalScreen[int]):
    """A list of shares; gives the percent of the chosen one, or nothing."""

    CSS_PATH = "share.tcss"
    HELP = """
## Requests

How many of its endpoint's requests the deployment is to answer; the rest goes to the one that has the most
now. In steps: 10, 50, then all; it is asked something between, and if it does not answer, all is as before.
"""
    BINDING_GROUP_TITLE = "Requests"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close", tooltip="Leave them as they are.", id="share.close"),
    ]

    def __init__(self, name: str, now: int, *, others: bool) -> None:
        super().__init__()
        self._name = name
        self._now = now
        self._others = others
        """Whether another deployment could answer the rest."""

    def compose(self) -> ComposeResult:
        told = f"How many of the requests are to go to {self._name}? {self._now} % do."
        with Vertical(id="share"):
            yield Static(Content(told))
            yield OptionList(*self._options())

    def on_mount(self) -> None:
        box = self.query_one("#share")
        box.border_title = "Requests"
        box.border_subtitle = "esc closes"

    def _options(self) -> list[Option]:
        found = [Option(Content.assemble(bar(100), "  all of them, at once"), id="100")]
        if self._others:
            steps = Content.assemble(bar(10), "  10, 50, then all, with a question between")
            found.append(Option(steps, id=str(GRADUALLY)))
            found += [
                Option(Content.assemble(bar(percent), "  the rest goes where most go now"), id=str(percent))
                for percent in (10, 50)
                if percent != self._now
            ]
        return found

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(int(event.option.id or "100"))
