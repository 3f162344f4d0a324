"""What is being done with a deployment, and below it what was read of one meanwhile: a log, an answer."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from phichat.screens.deploy.story import Story


class Stories(Vertical):
    """Two stories, each only as long as it has something to tell; each scrolls by itself."""

    def __init__(self) -> None:
        super().__init__(id="stories")
        self.doing = Story(follows=True)
        self._reading = Story(follows=True)

    def compose(self) -> ComposeResult:
        yield VerticalScroll(self.doing, id="doing")
        # Above what scrolls: of a log one sees the end, and has to see whose it is.
        yield Static(id="what")
        yield VerticalScroll(self._reading, id="reading")

    def on_mount(self) -> None:
        self._show(doing=False)

    def do(self, title: str) -> None:
        """Begin to tell what is being done; what was read before is of no more use."""
        self.doing.begin(title)
        self._show(doing=True)

    def read(self, title: str, *, meanwhile: bool) -> None:
        """Begin to read something; `meanwhile`: below what is being done, else in place of what was done."""
        self._reading.begin("")
        self._show(title, doing=meanwhile)

    def has_read(self, title: str, text: str) -> None:
        """Show what was read; without a title there is nothing to show."""
        self._reading.say("", text)
        self._show(title, doing=self.query_one("#doing").display)

    def _show(self, title: str = "", *, doing: bool) -> None:
        self.query_one("#what", Static).update(Content(title))
        for name, shown in (("#doing", doing), ("#what", bool(title)), ("#reading", bool(title))):
            self.query_one(name).display = shown
        self.set_class(doing and bool(title), "-both")
