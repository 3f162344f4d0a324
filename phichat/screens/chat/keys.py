"""The keys of the chat, beside those of any talk with a model."""

from __future__ import annotations

from textual.binding import Binding, BindingType

KEYS: list[BindingType] = [
    Binding(
        "ctrl+n",
        "new",
        "New chat",
        tooltip="Begin an empty conversation.",
        id="chat.new",
        show=False,
    ),
    Binding("ctrl+o", "copy", "Copy", tooltip="Copy the last answer.", id="chat.copy", show=False),
    Binding(
        "ctrl+l",
        "earlier",
        "Earlier turns",
        tooltip="Show more of the beginning.",
        id="chat.earlier",
        show=False,
    ),
    Binding(
        "f2,ctrl+b",
        "chats",
        "Chats",
        tooltip="Earlier conversations: find, open, rename, delete, export.",
        id="chat.chats",
    ),
    Binding(
        "f3",
        "options",
        "Options",
        tooltip="System prompt, temperature, length and seed of this conversation.",
        id="chat.options",
        show=False,
    ),
    Binding(
        "f4",
        "compare",
        "Compare",
        tooltip="Ask two models at once, such as base and tuned, and vote.",
        id="chat.compare",
        show=False,
    ),
    Binding(
        "f5",
        "answerer",
        "Who answers",
        tooltip="Let the deployment answer, or the flow server.",
        id="chat.answerer",
        show=False,
    ),
    Binding(
        "f8",
        "recall",
        "Attach",
        tooltip="Attach what was said in another conversation to your question.",
        id="chat.recall",
        show=False,
    ),
    Binding("pageup", "back", "Page up", tooltip="Read what is above.", id="chat.up", show=False),
    Binding("pagedown", "on", "Page down", tooltip="Read what is below.", id="chat.down", show=False),
    Binding("ctrl+end", "end", "To the end", tooltip="Follow the answer again.", id="chat.end", show=False),
]
