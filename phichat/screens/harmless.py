"""Takes out of whatever is drawn the characters that a terminal would take for commands."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_COMMANDS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)))
"""None of them takes a place on a line: without them everything stays where it is."""


class Harmless(LineFilter):
    """Draws text of models, files and services as text: an answer may not fill the clipboard.

    Textual itself takes out a few of these characters, and lets the one through that begins a command.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line without commands."""
        if all(segment.text.isprintable() for segment in segments):
            return segments
        return [
            segment if segment.control else Segment(segment.text.translate(_COMMANDS), segment.style)
            for segment in segments
        ]
