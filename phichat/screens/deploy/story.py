"""What is being done with a deployment, step by step, and what came of it."""

from __future__ import annotations

from collections import deque

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from phichat.errors import PhichatError
from phichat.events import Event, Log, Progress, Step
from phichat.screens.wording import amount

SIGNS = {
    "planned": ("○", "$text-secondary"),
    "running": ("◐", "$text-primary"),
    "done": ("✓", "$text-success"),
    "reused": ("✓", "$text-success"),
    "failed": ("✗", "$text-error"),
}
LOG_LINES = 20
"""Last lines that are shown of what a container wrote before it failed."""


class Story(Static):
    """A title, the steps in the order in which they came, and the end."""

    def __init__(self, *, follows: bool = False) -> None:
        super().__init__()
        self._follows = follows
        """Whether what it is in scrolls to its end: of steps and of a log that is what one looks for."""
        self._title = ""
        self._steps: dict[str, Step] = {}
        self._progress: Progress | None = None
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._end = Content("")

    def begin(self, title: str) -> None:
        """Begin another story."""
        self._title, self._steps, self._progress, self._end = title, {}, None, Content("")
        self._log.clear()
        self._show()

    def tell(self, event: Event) -> None:
        """Take in a step, or how far one is."""
        if isinstance(event, Step):
            self._steps[event.name] = event
            self._progress = None
        elif isinstance(event, Progress):
            self._progress = event
        elif isinstance(event, Log):
            self._log.append(event.line)
        self._show()

    def end(self, told: str) -> None:
        """Say what came of it."""
        self._progress, self._end = None, Content(told)
        self._show()

    def halt(self) -> None:
        """Nothing more will come; why is said elsewhere."""
        self._progress = None
        self._show()

    def fail(self, problem: PhichatError) -> None:
        """Say why nothing came of it, and what to do."""
        hint = f"\n{problem.hint}" if problem.hint else ""
        self._progress = None
        self._end = Content.assemble(("✗", "$text-error"), f" {problem.message}{hint}")
        self._show()

    def say(self, title: str, text: str) -> None:
        """Show a text in place of a story."""
        self._title, self._steps, self._progress = title, {}, None
        self._log.clear()
        self._end = Content(text)
        self._show()

    def _show(self) -> None:
        lines = [Content.styled(self._title, "bold")] if self._title else []
        lines += [told_step(step) for step in self._steps.values()]
        if self._progress:
            told = amount(self._progress.done, self._progress.total, self._progress.unit)
            lines.append(Content(f"  {self._progress.what} {told}"))
        lines += [Content.styled(f"  {line}", "$text-muted") for line in self._log]
        self.update(Content("\n").join([*lines, self._end] if self._end.plain else lines))
        if self._follows and isinstance(self.parent, VerticalScroll):
            self.call_after_refresh(self.parent.scroll_end, animate=False)


def told_step(step: Step) -> Content:
    """A step with a sign for how far it is."""
    return Content.assemble(SIGNS[step.state], f" {step.name}", (f"  {step.detail}", "$text-secondary"))
