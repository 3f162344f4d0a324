"""The steps of an operation that has several: what each is about to do, is doing, or has done."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from textual import events
from textual.content import Content
from textual.widgets import Static

from phichat.events import Event, Progress, Step
from phichat.screens.wording import amount

SIGNS = {
    "planned": ("○", "$text-primary"),
    "running": ("◐", "$text-primary"),
    "done": ("✓", "$text-success"),
    "reused": ("✓", "$text-secondary"),
    "failed": ("✗", "$text-error"),
}
WORDS = {"planned": "to make", "running": "…", "done": "made", "reused": "kept", "failed": "failed"}
MARGIN = 11
"""Columns of the sign and its word."""
LONGEST = 28
"""Columns of a name at most; a longer one has its detail on the next line."""


class Steps(Static):
    """One step a line, in the order in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: dict[str, Step] = {}
        self._progress: Progress | None = None
        self._width = 0
        self._last = ""

    def plan(self, steps: Iterable[Step]) -> None:
        """Show what would be done, instead of everything before."""
        self._steps, self._progress = {step.name: step for step in steps}, None
        self._show()

    def tell(self, event: Event) -> None:
        """Take in a step, or how far one is."""
        if isinstance(event, Step):
            before = self._steps.get(event.name)
            if before and not event.detail:
                event = event.model_copy(update={"detail": before.detail})
            self._steps[event.name], self._progress, self._last = event, None, event.name
        elif isinstance(event, Progress):
            self._progress = event
        self._show()

    @property
    def line(self) -> int:
        """Where the step is told that was heard of last."""
        names = list(self._steps)
        before = names[: names.index(self._last)] if self._last in names else names
        return sum(len(self._lines(self._steps[name])) for name in before)

    def on_resize(self, event: events.Resize) -> None:
        if event.size.width != self._width:
            self._width = event.size.width
            self.call_after_refresh(self._show)  # within the layout it would come too late for this one

    def _show(self) -> None:
        lines = [line for step in self._steps.values() for line in self._lines(step)]
        if self._progress:
            told = amount(self._progress.done, self._progress.total, self._progress.unit)
            lines.append(Content(f"  {self._progress.what} {told}"))
        self.update(Content("\n").join(lines))

    def _lines(self, step: Step) -> list[Content]:
        names = [len(each) for each in self._steps if len(each) <= LONGEST]
        column = max(names, default=0)
        head = Content.assemble(SIGNS[step.state], f" {WORDS[step.state]:<7}  ", f"{step.name:<{column}}")
        beside = len(step.name) <= column
        left = MARGIN + column + 2 if beside else MARGIN + 2
        width = max(self._width - left, 24)
        told = [(f"{'':{left}}{line}", "$text-secondary") for line in wrap(step.detail, width)]
        if beside and told:
            head = Content.assemble(head, (f"  {told.pop(0)[0].strip()}", "$text-secondary"))
        return [head, *(Content.styled(*line) for line in told)]
