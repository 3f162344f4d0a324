"""A list of rows to choose from, of which the one under the cursor can be read whatever colours it has."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widgets import OptionList


class Rows(OptionList):
    """A list whose signs take the colour of the text on the row under the cursor.

    Their own colours are made for the screen's ground, and cannot be told from the cursor's.
    """

    def render_line(self, y: int) -> Strip:
        strip = super().render_line(y)
        if not self.has_focus:
            return strip
        row = self.get_visual_style("option-list--option", "option-list--option-highlighted").rich_style
        first = next(iter(strip), None)
        if first is None or first.style is None or first.style.bgcolor != row.bgcolor:
            return strip
        return Strip(Segment.apply_style(strip, post_style=Style(color=row.color)), strip.cell_length)
