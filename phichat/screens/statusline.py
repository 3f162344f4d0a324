"""The line above the keys: project, backend, model and deployment, and what goes on and what it costs."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from phichat.screens.session import Session, short_name

GAP = 2
"""Columns between what is there and what goes on, at least."""


class StatusLine(Widget):
    """Left what is there, right what goes on; what does not fit is left out, never cut."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._shown: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def show(self) -> None:
        """Show the session as it is now."""
        shown = (_there(self._session), _going_on(self._session))
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render(self) -> Content:
        """The line as it fits the terminal."""
        width = self.content_size.width
        there, going_on = list(self._shown[0]), list(self._shown[1])
        # The deployment goes first, the work that goes on last: that is what people wait for.
        while there and _length(there, going_on) > width:
            there.pop()
        while going_on and _length(there, going_on) > width:
            going_on.pop()
        left, right = " · ".join(there), " · ".join(going_on)
        gap = " " * (width - len(left) - len(right))
        return Content.assemble(left, gap, (right, "$foreground"))


def _length(there: list[str], going_on: list[str]) -> int:
    left, right = len(" · ".join(there)), len(" · ".join(going_on))
    return left + right + (GAP if left and right else 0)


def _there(session: Session) -> tuple[str, ...]:
    project = session.project
    if project is None:
        return ()
    named = (project.root.name,) if project.root else ("no project",)
    serving = session.standing.serving if session.standing else ""
    deployed = (f"serving {short_name(serving)}",) if serving else ()
    if session.through_flow:
        deployed = ("through the flow", *deployed)
    return (*named, session.backend, session.model, *deployed)


def _going_on(session: Session) -> tuple[str, ...]:
    """What runs, the newest first, and what all that is alive costs."""
    running = [str(activity) for activity in reversed(session.activities.values())]
    if len(running) > 1:
        running = [f"▶ {running[0]} (+{len(running) - 1})"]
    else:
        running = [f"▶ {each}" for each in running]
    cost = session.standing.usd_per_hour if session.standing else 0.0
    if cost is None:
        return (*running, "costs an unknown sum")
    return (*running, f"US${cost:.2f} an hour") if cost else tuple(running)
