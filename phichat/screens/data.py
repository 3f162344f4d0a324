"""The screen Data."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from phichat.screens.stage import StageScreen


class DataScreen(StageScreen):
    """Data."""

    stage = "data"

    def body(self) -> ComposeResult:
        yield Static("Data", classes="body")
