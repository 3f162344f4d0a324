"""The screen Deploy."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from phichat.screens.stage import StageScreen


class DeployScreen(StageScreen):
    """Deploy."""

    stage = "deploy"

    def body(self) -> ComposeResult:
        yield Static("Deploy", classes="body")
