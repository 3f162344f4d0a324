"""A field of one line."""

from __future__ import annotations

from textual.reactive import reactive
from textual.widgets import Input


class OneLine(Input):
    """A field whose cursor stands still: blinking would wake the processor twice a second for nothing."""

    cursor_blink = reactive(False, init=False)
