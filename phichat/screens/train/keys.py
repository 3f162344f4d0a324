"""The keys of the screen Train, and what one would type in a shell to the same effect."""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding, BindingType

from phichat.screens.train.run import PAGES

SHELL: Mapping[str, str] = {
    "train.start": "phichat train",
    "train.demo": "phichat data demo",
    "train.all": "phichat runs",
    "train.resume": "phichat train",
    "train.again": "phichat train --again",
    "train.cancel": "phichat cancel RUN",
    "train.evaluate": "phichat eval RUN",
    "train.fetch": "phichat fetch RUN",
    "train.check": "phichat check",
    "train.deploy": "phichat deploy RUN && phichat chat",
}
KEYS: list[BindingType] = [
    Binding("ctrl+s", "start", "Train", tooltip="Start the training.", id="train.start"),
    Binding("f3", "more", "More", tooltip="Show all settings, or the first few.", id="train.more"),
    Binding("p", "demo", "Prepare the demo", tooltip="Use ours to try it.", id="train.demo", show=False),
    Binding("ctrl+r", "reload", "Try again", tooltip="Look again.", id="train.reload", show=False),
    Binding("n", "new", "New", tooltip="Go to the settings of a new training.", id="train.new"),
    *(
        Binding(
            key,
            f"page({page!r})",
            title,
            tooltip=f"Turn to the page {title}.",
            id=f"train.{page}",
            show=False,
        )
        for page, (key, title) in PAGES.items()
    ),
    Binding(
        "v",
        "compare",
        "Compare",
        tooltip="Ask the base model and this one side by side.",
        id="train.compare",
        show=False,
    ),
    Binding(
        "d",
        "deploy",
        "Deploy, chat",
        tooltip="Deploy the run's model and chat with it.",
        id="train.deploy",
        show=False,
    ),
    Binding(
        "f",
        "fetch",
        "Fetch",
        tooltip="Bring the run's model to this machine.",
        id="train.fetch",
        show=False,
    ),
    Binding(
        "f5",
        "check",
        "See the checks",
        tooltip="See what is not in place yet, and mend it.",
        id="train.check",
        show=False,
    ),
    Binding(
        "ctrl+x",
        "stop",
        "Stop",
        tooltip="Stop what is being brought there or here; the next time goes on where it ended.",
        id="train.stop",
    ),
    Binding("o", "report", "Report", tooltip="Open the report in a browser.", id="train.report", show=False),
    Binding(
        "e",
        "evaluate",
        "Evaluate",
        tooltip="Compare the model with the base model now.",
        id="train.evaluate",
        show=False,
    ),
    Binding(
        "ctrl+r",
        "resume",
        "Go on",
        tooltip="Go on from the run's last checkpoint.",
        id="train.resume",
        show=False,
    ),
    Binding("g", "again", "Train again", tooltip="The same once more.", id="train.again", show=False),
    Binding("x", "cancel", "Cancel", tooltip="End the run.", id="train.cancel", show=False),
    Binding("space", "mark", "Mark", tooltip="Draw the run into the same picture.", id="train.mark"),
    Binding("escape", "all", "All runs", tooltip="Go to the list of runs.", id="train.all"),
    Binding("escape", "back", "Back", tooltip="Leave the list of runs.", id="train.back"),
]
