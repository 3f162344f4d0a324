"""The screen Configure."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from phichat.screens.stage import StageScreen


class ConfigureScreen(StageScreen):
    """Configure."""

    stage = "configure"

    def body(self) -> ComposeResult:
        yield Static("Is everything in place?", classes="body")
