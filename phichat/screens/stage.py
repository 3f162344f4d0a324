"""What the screens of all stages have in common: the first line, the last two, and news of the session."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer

from phichat.screens.session import Session
from phichat.screens.statusline import StatusLine
from phichat.screens.topbar import TopBar


class StageScreen(Screen[None]):
    """A screen between the bar that says where one stands and the line that says what is alive.

    A subclass names its `stage`, yields what is between the two in `body`, and overrides
    `session_changed` to show the session as it is now; the project may not be open yet.
    """

    stage: ClassVar[str]

    class SessionChanged(Message):
        """The session is another than before: the project is open, or its model is nearer."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.bar = TopBar(session, self.stage)
        self.line = StatusLine(session)

    def compose(self) -> ComposeResult:
        yield self.bar
        yield from self.body()
        yield self.line
        yield Footer()

    def body(self) -> ComposeResult:
        """What is between the first line and the last two."""
        yield from ()

    def on_mount(self) -> None:
        self.session.listen(self._tell)
        self._tell()

    def _tell(self) -> None:
        self.post_message(self.SessionChanged())

    async def on_stage_screen_session_changed(self) -> None:
        self.bar.show()
        self.line.show()
        await self.session_changed()

    async def session_changed(self) -> None:
        """Show the session as it is now."""
