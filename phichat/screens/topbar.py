"""The first line of every screen: where one stands in the work, and what the model is doing."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from phichat.screens.session import Readiness, Session

SPINNER = "◐◓◑◒"
TICK_S = 0.125


@dataclass(frozen=True)
class Stage:
    """One of the application's screens."""

    name: str
    title: str


STAGES = (Stage("chat", "Chat"),)
"""The screens that exist, in the order of the work: Configure, Data, Train, Deploy, Chat."""


class TopBar(Horizontal):
    """Name, stages, project, backend and model, and the state of the model."""

    def __init__(self, session: Session, stage: str) -> None:
        super().__init__()
        self._session = session
        self._stage = stage
        self.activity = ""
        """What the screen does just now, shown instead of the model's readiness; empty: nothing."""
        self._named = False
        self._frame = 0
        self._ticker: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static("phichat", id="brand")
        for stage in STAGES:
            yield Static(stage.title, classes="stage -here" if stage.name == self._stage else "stage")
        yield Static(id="project")
        yield Static(id="place")
        yield Static(id="state")

    def on_mount(self) -> None:
        self._ticker = self.set_interval(TICK_S, self._tick, pause=True)
        self.show()

    def show(self) -> None:
        """Show the session as it is now."""
        if self._session.project and not self._named:
            self._named = True
            root = self._session.project.root
            self.query_one("#project", Static).update(Content(root.name if root else ""))
            place = f"{self._session.backend} · {self._session.model}"
            self.query_one("#place", Static).update(Content(place))
        self._draw_state()
        busy = bool(self.activity) or self._session.readiness.phase in ("opening", "preparing")
        if self._ticker and busy and self.app.animation_level != "none":
            self._ticker.resume()
        elif self._ticker:
            self._ticker.pause()

    def _tick(self) -> None:
        self._frame += 1
        self._draw_state()

    def _draw_state(self) -> None:
        spinner = SPINNER[self._frame % len(SPINNER)]
        if self.activity:
            state = Content.assemble((spinner, "$text-primary"), f" {self.activity}")
        else:
            state = _state(self._session.readiness, spinner)
        # A tick must not arrange the whole screen anew; the text keeps to the right in a place of its own.
        self.query_one("#state", Static).update(state, layout=False)


def _state(readiness: Readiness, spinner: str) -> Content:
    """The state as a sign, a colour and a word: none of them alone."""
    match readiness.phase:
        case "opening":
            return Content.assemble((spinner, "$text-primary"), " opening")
        case "preparing":
            return Content.assemble((spinner, "$text-primary"), f" {readiness.brief}")
        case "ready":
            return Content.assemble(("●", "$text-success"), " ready")
        case "offered" | "declined":
            return Content.assemble(("○", "$text-warning"), " no model yet")
        case "failed":
            return Content.assemble(("✗", "$text-error"), " failed")
