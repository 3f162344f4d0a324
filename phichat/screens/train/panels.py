"""What stands in the way of a training: no data yet, or something that does not work."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from phichat.errors import PhichatError
from phichat.screens.choice import Choice
from phichat.screens.panels import Panel, explain


class NoData(Panel):
    """Says where data comes from; with one key ours is there."""

    def compose(self) -> ComposeResult:
        yield Static("There is no data to train on yet.", classes="what")
        told = "Bring conversations of your own on the screen Data, or try it with ours, a lighthouse keeper."
        yield Static(told, classes="hint")
        yield Horizontal(Choice("train.demo"), Choice("jump.data"), classes="choices")


class Trouble(Panel):
    """An error in place of everything else, with a key that tries again."""

    def __init__(self) -> None:
        super().__init__(classes="-error")
        self._shown: PhichatError | None = None

    async def show(self, problem: PhichatError, retry: str) -> None:
        """Show an error; `retry` is the id of the binding that tries again."""
        if problem is not self._shown:
            self._shown = problem
            async with self.batch():
                await self.remove_children()
                await self.mount_all(explain(problem, retry))
