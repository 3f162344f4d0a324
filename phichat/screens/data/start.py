"""What the screen Data says while nothing is prepared."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from phichat.screens.choice import Choice

OFFERS = (
    ("data.demo", "60 short conversations of a lighthouse keeper: the first try."),
    ("data.file", "JSON lines, JSON, CSV, TSV, Parquet; many shapes."),
    ("data.form", "A folder, a dataset of the hub, and every option."),
)


class DataStart(Vertical):
    """What data is for, and three ways to begin."""

    def compose(self) -> ComposeResult:
        yield Static("What is the model to learn?", classes="title")
        yield Static(
            "phichat takes conversations from almost anywhere, checks every row, and divides them into rows "
            "to train on and rows to evaluate on.",
            classes="told",
        )
        for binding, told in OFFERS:
            yield Horizontal(Choice(binding), Static(told, classes="offer"), classes="offers")
        yield Static("In a shell: phichat data demo", classes="hint")
