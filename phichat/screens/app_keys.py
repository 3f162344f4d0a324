"""The keys that work on every screen, and what one would type in a shell to the same effect."""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding, BindingType

from phichat.screens.stages import STAGES

SHELL: Mapping[str, str] = {
    "project.setup": "phichat init",
    "model.download": "phichat models pull {model}",
    "app.help": "phichat --help",
}
"""What does the same in a shell, by the binding's id."""
KEYS: list[BindingType] = [
    *(
        Binding(
            f"alt+{number}",
            f"go({stage.name!r})",
            stage.title,
            tooltip=f"Go to the screen {stage.title}.",
            id=f"go.{stage.name}",
            show=False,
        )
        for number, stage in enumerate(STAGES, start=1)
    ),
    # The panels show these with their keys; the footer has no room for them twice.
    Binding(
        "ctrl+g",
        "download",
        "Download",
        tooltip="Download the model's weights.",
        id="model.download",
        show=False,
    ),
    Binding("ctrl+g,escape", "cancel", "Cancel", tooltip="Stop the download.", id="model.cancel", show=False),
    Binding(
        "escape",
        "decline",
        "Not now",
        tooltip="Do without the model for now.",
        id="model.decline",
        show=False,
    ),
    Binding("ctrl+r", "retry", "Try again", tooltip="Start the model again.", id="model.retry", show=False),
    Binding(
        "ctrl+g",
        "remedy",
        "Do what helps",
        tooltip="Do what the error on the screen advises.",
        id="app.remedy",
        show=False,
    ),
    Binding(
        "f12",
        "setup",
        "Set up a project",
        tooltip="Make a project: where, on which backend, from which model.",
        id="project.setup",
        show=False,
    ),
    # Before all others, and awaited: the digit that is typed at once is for the list.
    Binding(
        "f9",
        "go_to",
        "Go to",
        tooltip="Go to a screen by its number.",
        id="app.goto",
        show=False,
        priority=True,
    ),
    Binding("f1", "help", "Help", tooltip="Help, and every key.", id="app.help"),
    Binding("ctrl+q", "quit", "Quit", tooltip="Leave; the model runs on.", id="app.quit", priority=True),
    Binding(
        "ctrl+p",
        "command_palette",
        "Commands",
        tooltip="Find whatever can be done now.",
        id="app.palette",
        show=False,
        priority=True,
    ),
    Binding(
        "ctrl+c",
        "interrupt",
        "How to quit",
        tooltip="Say how to quit, and what would go on costing.",
        id="app.interrupt",
        show=False,
        system=True,
    ),
]
