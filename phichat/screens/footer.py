"""The last line of a screen: the keys that can be pressed now."""

from __future__ import annotations

from typing import Any

from textual import widgets
from textual.binding import Binding
from textual.screen import Screen


class Footer(widgets.Footer):
    """Textual's footer, made anew only when it would look different: bindings change far more often."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[tuple[Binding, str, bool, str]] = []

    def bindings_changed(self, screen: Screen[Any]) -> None:
        if not (screen.app.app_focus and self.is_attached and screen is self.screen):
            super().bindings_changed(screen)
            return
        shown = [
            (binding, self.app.get_key_display(binding), enabled, tooltip)
            for _, binding, enabled, tooltip in screen.active_bindings.values()
            if binding.show or binding.action == "command_palette"
        ]
        if shown != self._shown:
            self._shown = shown
            super().bindings_changed(screen)
