"""What can be done now, by which key: footer, panels, palette and help all say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

JUMP = "jump."
"""How the ids of the digits begin that do the same as another key of the application."""


@dataclass(frozen=True)
class Action:
    """Something that a key does now."""

    binding: Binding
    node: DOMNode
    keys: tuple[str, ...]
    """As people read them: `^j`."""

    @property
    def id(self) -> str:
        """The name by which a person rebinds it."""
        return self.binding.id or ""

    async def run(self) -> None:
        """Do it."""
        await self.node.app.run_action(self.binding.action, self.node)


def actions(screen: Screen[Any]) -> dict[str, Action]:
    """Everything with a name that a key does now, what is nearest to the focus first."""
    found: dict[str, Action] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.id and active.enabled:
            before = found[binding.id].keys if binding.id in found else ()
            shown = screen.app.get_key_display(binding)
            found[binding.id] = Action(binding, active.node, (*before, shown))
    return found


def possible(screen: Screen[Any], name: str) -> Action | None:
    """The action of that name if it can be done now, even where something nearer has taken its key."""
    if action := actions(screen).get(name):
        return action
    for node in (screen, screen.app):
        for binding in Binding.make_bindings(node.BINDINGS):
            if binding.id == name and node.check_action(binding.action, ()):
                return Action(binding, node, ())
    return None
