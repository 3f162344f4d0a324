"""The question on the way out while something goes on costing: leave it, take it down, or stay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from phichat.backends.base import Resource
from phichat.errors import PhichatError
from phichat.events import Event
from phichat.screens.choice import Choice
from phichat.screens.deploy.rows import everything
from phichat.screens.deploy.story import Story
from phichat.screens.session import Session, problem_of
from phichat.workflow.estimates import hourly
from phichat.workflow.removing import remove_all

SHOWN = 6
"""Lines of what costs; the rest is counted."""


class LeavingScreen(ModalScreen[bool]):
    """What costs by the hour when nobody looks; gives whether the person leaves."""

    CSS_PATH = "leaving.tcss"
    HELP = """
## Something costs

It goes on costing when phichat is closed. L leaves it as it is, D takes it down first, Escape goes back.
"""
    BINDING_GROUP_TITLE = "Leaving"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "leave", "Leave it", tooltip="Quit; all of it runs on and costs.", id="leaving.leave"),
        Binding(
            "ctrl+c",
            "leave",
            "Leave it, too",
            tooltip="Quit; all of it runs on and costs.",
            id="leaving.interrupt",
            show=False,
        ),
        Binding("d", "down", "Take it down", tooltip="Stop and delete it, then quit.", id="leaving.down"),
        Binding("escape", "stay", "Stay", tooltip="Do not quit.", id="leaving.stay"),
    ]

    class Happened(Message):
        """A step of taking it down."""

        def __init__(self, event: Event) -> None:
            super().__init__()
            self.event = event

    class Ended(Message):
        """All of it is gone, or why not."""

        def __init__(self, problem: PhichatError | None) -> None:
            super().__init__()
            self.problem = problem

    def __init__(self, session: Session, costing: Sequence[Resource]) -> None:
        super().__init__()
        self._session = session
        self._costing = list(costing)
        self._story = Story()
        self._busy = False

    def compose(self) -> ComposeResult:
        rates = [each.usd_per_hour for each in self._costing]
        known = [rate for rate in rates if rate is not None]
        much = hourly(sum(known)) if len(known) == len(rates) else "an unknown sum"
        with Vertical(id="leaving"):
            yield Static(Content(f"When you leave, this goes on and costs {much}:"), classes="what")
            yield Static(self._told(), id="leaving-what")
            yield self._story
            names = ("leave", "down", "stay")
            yield Horizontal(*(Choice(f"leaving.{name}") for name in names), classes="choices")

    def on_mount(self) -> None:
        self._story.display = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While it is taken down there is nothing to choose but not to wait."""
        return not (self._busy and action == "down")

    def action_leave(self) -> None:
        """Quit; what costs runs on."""
        self.dismiss(True)

    def action_stay(self) -> None:
        """Go back to the screen; what is being removed is removed."""
        self.dismiss(False)

    def action_down(self) -> None:
        """Stop and delete all of it, then quit."""
        self._busy = True
        self._story.display = True
        self._story.begin("")
        self.refresh_bindings()
        self._take_down()

    @work(exclusive=True, exit_on_error=False)
    async def _take_down(self) -> None:
        project, problem = self._session.project, None
        assert project is not None
        try:
            await remove_all(self._costing, lambda each: project.remove(each, self._heard))
        except asyncio.CancelledError:
            self._session.look_soon()
            raise
        except Exception as error:
            problem = problem_of(error, self._session.backend)
        self.post_message(self.Ended(problem))

    def _heard(self, event: Event) -> None:
        self.post_message(self.Happened(event))

    def on_leaving_screen_happened(self, event: Happened) -> None:
        self._story.tell(event.event)

    def on_leaving_screen_ended(self, event: Ended) -> None:
        if event.problem is None:
            self.dismiss(True)
            return
        self._busy = False
        self._story.fail(event.problem)
        self._session.look_soon()
        self.refresh_bindings()

    def _told(self) -> Content:
        told = everything(self._costing[:SHOWN])
        if (more := len(self._costing) - SHOWN) > 0:
            told += Content(f"\nand {more} more")
        if any(each.kind == "cluster" for each in self._costing):
            told += Content.assemble(("\nA run on a cluster ends with the cluster.", "$text-warning"))
        return told
