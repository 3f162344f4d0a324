"""The keys of the screen Deploy, and what one would type in a shell to the same effect."""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding, BindingType

SHELL: Mapping[str, str] = {
    "deploy.new": "phichat deploy RUN",
    "deploy.call": "phichat chat -p TEXT",
    "deploy.logs": "phichat logs NAME",
    "deploy.shift": "phichat traffic NAME=PERCENT …",
    "deploy.rollback": "phichat rollback",
    "deploy.delete": "phichat down NAME",
    "deploy.down": "phichat down",
    "deploy.reload": "phichat status",
}
"""What does the same in a shell, by the binding's id."""
KEYS: list[BindingType] = [
    Binding("n", "new", "New", tooltip="Choose a model to deploy.", id="deploy.new", show=False),
    Binding("c", "use", "Chat", tooltip="Let the chats be with this one.", id="deploy.use", show=False),
    Binding("t", "call", "Test", tooltip="Ask it something, to see it answer.", id="deploy.call", show=False),
    Binding("l", "logs", "Log", tooltip="Read what it has written.", id="deploy.logs", show=False),
    Binding(
        "b",
        "shift",
        "Requests",
        tooltip="Let it answer some of the requests, or all: at once or in steps.",
        id="deploy.shift",
        show=False,
    ),
    Binding(
        "r",
        "rollback",
        "Roll back",
        tooltip="Give all requests back to the one that answered before.",
        id="deploy.rollback",
        show=False,
    ),
    Binding("x", "delete", "Delete", tooltip="Stop and delete it.", id="deploy.delete", show=False),
    Binding(
        "a",
        "down",
        "All down",
        tooltip="Stop and delete all that is alive: deployments, endpoints, clusters.",
        id="deploy.down",
        show=False,
    ),
    Binding("escape", "stop", "Cancel", tooltip="Do not wait for it.", id="deploy.stop", show=False),
    Binding("escape", "back", "Back", tooltip="Back to the deployments.", id="deploy.back"),
    Binding("f", "flow", "Flow server", tooltip="The model for other programs.", id="deploy.flow"),
    Binding("ctrl+r", "reload", "Look again", tooltip="See what is deployed now.", id="deploy.reload"),
]
