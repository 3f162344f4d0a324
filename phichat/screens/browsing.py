"""Pages of the web: opened in a browser, or copied where there is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.screens.clipboard import Copy

if TYPE_CHECKING:
    from textual.app import App


def browse(app: App[None], place: str) -> None:
    """Open a page, an address or a file; where there is no browser, say where the page is."""
    if sys.platform in ("darwin", "win32") or os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}:
        app.open_url(place if "://" in place else Path(place).as_uri())
        return
    what = "address" if "://" in place else "path"
    app.post_message(Copy(place, f"There is no browser here. The {what} {place}"))


def show_page(app: App[None], page: tuple[str, str]) -> None:
    """Open a page on which something is asked for, and say what to fill in there."""
    address, numbers = page
    browse(app, address)
    if numbers:
        app.notify(numbers, title="What to fill in there", timeout=30, markup=False)
