"""How far preparing is: its steps, a bar, and a key that stops it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from phichat.events import Event
from phichat.screens.choice import Choice
from phichat.screens.panels import Meter
from phichat.screens.wording import amount


class DataProgress(Vertical):
    """The steps that are done, the one that goes on, and how much of it is done."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source
        self._steps: dict[str, Content] = {}
        self.brief = "preparing data"
        """What happens now, in a few words."""

    def compose(self) -> ComposeResult:
        yield Static(Content(f"Preparing {self._source}"), classes="title")
        yield Static(id="steps")
        yield Static(id="now")
        yield Meter()
        yield Horizontal(Choice("data.cancel"), classes="choices")

    def feed(self, event: Event) -> None:
        """Show one more event."""
        if event.kind == "step":
            done = event.state in ("done", "reused")
            mark = ("✓ ", "$text-success") if done else ("… ", "$text-primary")
            told = f"{event.name}  {event.detail}".rstrip()
            self._steps[event.name] = Content.assemble(mark, told)
            self.query_one("#steps", Static).update(Content("\n").join(self._steps.values()))
        elif event.kind == "progress":
            told = amount(event.done, event.total, event.unit)
            short = told if event.unit == "bytes" else amount(event.done, event.total)
            self.brief = f"{event.what.partition(' ')[0].lower()} {short}"
            self.query_one("#now", Static).update(Content(f"{event.what} {told}"))
            self.query_one(Meter).show(event.done, event.total or 0)
