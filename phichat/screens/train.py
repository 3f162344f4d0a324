"""The screen Train."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from phichat.screens.stage import StageScreen


class TrainScreen(StageScreen):
    """Train."""

    stage = "train"

    def body(self) -> ComposeResult:
        yield Static("Train", classes="body")
