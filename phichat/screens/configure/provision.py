"""Making the place ready: what is there and what is missing, then each step as it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from phichat.events import Step
from phichat.screens.background import Background, Done, Happened, Refused
from phichat.screens.browsing import show_page
from phichat.screens.choice import Choice
from phichat.screens.configure.steps import Steps
from phichat.screens.panels import ErrorPanel
from phichat.screens.remedies import page
from phichat.screens.session import Session

Phase = Literal["looking", "planned", "making", "stopped", "failed", "done"]
TOLD: dict[Phase, str] = {
    "looking": "Looking at what is there and what is missing…",
    "planned": "What is missing is made when you say so; what is there stays as it is.",
    "making": "Making what is missing. It may take some minutes; Escape stops it.",
    "stopped": "Stopped. What was made stays, and is found again.",
    "failed": "It did not get to the end. What was made stays, and is found again.",
    "done": "All is ready.",
}


class Planned(Message):
    """What is there and what is missing is known."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self.steps = steps


class Provisioning(Background):
    """What the screen can let happen."""

    def look(self) -> None:
        """See what is there and what is missing."""
        self._do("provision", self._look)

    def make(self) -> None:
        """Make what is missing."""
        self._do("provision", self._make)

    def stop(self) -> None:
        """Let go of what is being made; what was made stays."""
        self._drop("provision")

    async def _look(self) -> None:
        self._tell(Planned(await self._project.provision_plan()))

    async def _make(self) -> None:
        await self._project.provision(self._report)
        self._tell(Done(TOLD["done"]))


class ProvisionScreen(ModalScreen[bool]):
    """The plan of what the place still needs, carried out on request; gives whether anything was made."""

    CSS_PATH = "provision.tcss"
    HELP = """
## Make the place ready

Each line is a part that the backend needs. Looking changes nothing. What costs something by itself says so;
each part is made once and found again the next time. Escape stops between two parts.
"""
    BINDING_GROUP_TITLE = "Make the place ready"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "make", "Make what is missing", tooltip="Make it now.", id="provision.make"),
        Binding("ctrl+r", "look", "Look again", tooltip="See what is missing.", id="provision.look"),
        Binding("o", "page", "Open the page", tooltip="Open the page that is named.", id="provision.page"),
        Binding(
            "ctrl+g",
            "remedy",
            "Do what helps",
            tooltip="Do what the error on the screen advises.",
            id="app.remedy",
            show=False,
        ),
        Binding("escape", "stop", "Stop", tooltip="Stop; what was made stays.", id="provision.stop"),
        Binding("escape", "close", "Close", tooltip="Leave it as it is.", id="provision.close"),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._work = Provisioning(session, self)
        self._place = self._work.place  # now: the project may be opened anew meanwhile
        self._phase: Phase = "looking"
        self._missing = False
        self._page: tuple[str, str] | None = None
        """Where on the web what failed can be asked for, and with which numbers."""
        self._made = False
        """Whether another look may find something else than before."""

    def compose(self) -> ComposeResult:
        with Vertical(id="provision"):
            yield Static(id="told", classes="hint")
            yield VerticalScroll(Steps())
            yield Horizontal(
                *(Choice(f"provision.{name}") for name in ("make", "page", "look", "stop", "close")),
                classes="choices",
            )

    def on_mount(self) -> None:
        self.query_one("#provision").border_title = f"Make {self._place} ready"
        self.query_one(VerticalScroll).focus()
        self._work.look()

    # What the work tells

    def on_planned(self, event: Planned) -> None:
        self._missing = any(step.state == "planned" for step in event.steps)
        self.query_one(Steps).plan(event.steps)
        self._go("planned" if self._missing else "done")

    def on_happened(self, event: Happened) -> None:
        if self._phase == "making":  # a request that was on its way when it was stopped is late
            steps, page = self.query_one(Steps), self.query_one(VerticalScroll)
            steps.tell(event.event)
            page.scroll_to(y=max(0, steps.line - page.size.height // 2), animate=False)

    def on_done(self) -> None:
        self._missing = False
        self._go("done")

    async def on_refused(self, event: Refused) -> None:
        if event.problem is None:  # it was stopped, which is said already
            return
        self._page = page(event.problem)
        self._go("failed")
        await self.query_one("#provision").mount(ErrorPanel(event.problem), before=self.query_one(".choices"))
        self.query_one(VerticalScroll).scroll_end(animate=False)
        self.refresh_bindings()

    # What the keys do

    async def action_look(self) -> None:
        """See what is there and what is missing."""
        await self.query(ErrorPanel).remove()
        self._go("looking")
        self._work.look()

    async def action_make(self) -> None:
        """Make what is missing."""
        await self.query(ErrorPanel).remove()
        self._made = True
        self._go("making")
        self._work.make()

    def action_page(self) -> None:
        """Open the page on which the rest is asked for."""
        if self._page:
            show_page(self.app, self._page)

    async def action_remedy(self) -> None:
        """Do what the error advises, as on every other screen: a key of the application is not heard here."""
        await self.run_action("app.remedy")

    def action_stop(self) -> None:
        """Stop making; what was made stays."""
        self._work.stop()
        self._go("stopped")

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(self._made)

    async def mended(self) -> None:
        """Look again: what was in the way is not there any more."""
        await self.action_look()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        match action:
            case "make":
                return self._phase == "planned"
            case "remedy":
                return self.app.check_action(action, parameters)
            case "page":
                return self._phase == "failed" and self._page is not None
            case "look":
                return self._phase in ("stopped", "failed")
            case "stop":
                return self._phase == "making"
            case "close":
                return self._phase != "making"
        return super().check_action(action, parameters)

    def _go(self, phase: Phase) -> None:
        self._phase = phase
        self.query_one("#provision").set_class(phase == "failed", "-failed")
        self.query_one("#told", Static).update(Content(TOLD[phase]))
        self.refresh_bindings()
