"""What the screens of all stages have in common: the first line, the last two, and news of the session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer

from phichat.screens.session import Session, problem_of
from phichat.screens.stages import STAGES
from phichat.screens.statusline import StatusLine
from phichat.screens.topbar import TopBar

if TYPE_CHECKING:
    from phichat.screens.panels import ErrorPanel
    from phichat.screens.remedies import Remedy


class StageScreen(Screen[None]):
    """A screen between the bar that says where one stands and the line that says what is alive.

    A subclass names its `stage`, yields what is between the two in `body`, and overrides
    `session_changed` to show the session as it is now; the project may not be open yet, and is another
    object after the configuration was saved. One that overrides `check_action` ends with
    `return super().check_action(action, parameters)`.
    """

    stage: ClassVar[str]
    SHELL: ClassVar[Mapping[str, str]] = {}
    """What one would type in a shell to the same effect, by the binding's id; the palette shows it."""
    BINDINGS: ClassVar[list[BindingType]] = [
        # Only where no text field has the focus: one takes the digit before it comes here.
        Binding(
            str(number),
            f"app.go({stage.name!r})",
            stage.title,
            tooltip=f"Go to the screen {stage.title}.",
            id=f"jump.{stage.name}",
            show=False,
        )
        for number, stage in enumerate(STAGES, start=1)
    ]

    class SessionChanged(Message):
        """The session is another than before: the project is open, or its model is nearer."""

    class Mend(Message):
        """The application is to do what mends something."""

        def __init__(self, found: Remedy) -> None:
            super().__init__()
            self.found = found

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.bar = TopBar(session, self.stage)
        self.line = StatusLine(session)
        self._trouble: ErrorPanel | None = None

    def compose(self) -> ComposeResult:
        yield self.bar
        yield from self.body()
        yield self.line
        yield Footer()

    @property
    def untouched(self) -> bool:
        """Whether nobody has begun anything here, so that a dialogue may open by itself."""
        return False

    def body(self) -> ComposeResult:
        """What is between the first line and the last two."""
        yield from ()

    def on_mount(self) -> None:
        self.session.listen(self._tell)
        if self.session.project or self.session.readiness.phase != "opening":
            self._tell()  # else there is nothing to show yet, and the first frame comes sooner

    def on_unmount(self) -> None:
        self.session.forget(self._tell)

    def _tell(self) -> None:
        self.post_message(self.SessionChanged())

    async def on_stage_screen_session_changed(self) -> None:
        self.bar.show()
        self.line.show()
        try:
            await self.session_changed()
        except Exception as error:  # a plugin's bug costs a panel, never the application
            await self.show_problem(error)

    async def session_changed(self) -> None:
        """Show the session as it is now."""

    async def carry_out(self, command: tuple[str, ...]) -> None:
        """Do what `phichat` with these words would do in a shell, as far as nobody has to be asked.

        Called when the person presses the key of an error whose hint names that command: `("data", "demo")`.
        """

    async def mended(self) -> None:
        """Look again: what was in the way, as a missing sign-in, is not there any more."""
        await self.clear_problem()
        if self.session.readiness.phase == "failed":
            await self.run_action("app.retry")

    async def show_problem(self, error: Exception, retry: str = "") -> None:
        """Show an error above the last lines, instead of the one before; `retry` is a binding's id."""
        from phichat.screens.panels import ErrorPanel

        await self.clear_problem()
        self._trouble = ErrorPanel(problem_of(error, self.session.backend), retry)
        await self.mount(self._trouble, before=self.line)
        self.refresh_bindings()

    async def clear_problem(self) -> None:
        """Take away the error that `show_problem` has shown."""
        if self._trouble:
            await self._trouble.remove()
            self._trouble = None
            self.refresh_bindings()
