"""What is told in passing covers neither the first line, nor what one types in, nor the last lines."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot
from textual.widgets import Footer
from textual.widgets._toast import Toast

from phichat.app import PhichatApp
from phichat.screens.statusline import StatusLine
from phichat.screens.topbar import TopBar
from tests.screens.driving import chat, phase, prompt, until, write
from tests.screens.scripted import Script

LONG = "The conversation could not be kept: the disk is full. Make room, then ask again. Nothing is lost."


def covered(pilot: Pilot[None]) -> list[str]:
    """What must be free and is not."""
    widgets = (prompt(pilot), *(chat(pilot).query_one(each) for each in (TopBar, StatusLine, Footer)))
    toasts = [toast.region for toast in shown(pilot)]
    return [type(each).__name__ for each in widgets if any(map(each.region.overlaps, toasts))]


def shown(pilot: Pilot[None]) -> list[Toast]:
    return [toast for toast in chat(pilot).query(Toast) if toast.region.area]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["small", "large"])
async def test_what_is_told_is_out_of_the_way_of_whoever_types(
    app: PhichatApp, script: Script, size: tuple[int, int]
) -> None:
    script.loaded.set()
    async with app.run_test(size=size, notifications=True) as pilot:
        await phase(pilot, "ready")
        pilot.app.notify("Wait for the answer, or stop it.", timeout=600)
        await until(pilot, lambda: len(shown(pilot)) == 1)
        region = shown(pilot)[0].region
        assert (region.y, region.height) == (1, 1), "The line that every stage leaves free."
        await write(pilot, "\n".join(f"line {number}" for number in range(12)))
        await until(pilot, lambda: prompt(pilot).region.height == 10)
        pilot.app.notify(LONG, title="Not kept", severity="error", timeout=600)
        await until(pilot, lambda: len(shown(pilot)) == 2)
        assert not covered(pilot)


async def test_much_that_is_told_at_once_ends_above_the_prompt(app: PhichatApp, script: Script) -> None:
    script.loaded.set()
    async with app.run_test(notifications=True) as pilot:
        await phase(pilot, "ready")
        for number in range(8):
            pilot.app.notify(f"{number}: {LONG}", severity="error", timeout=600)
        await until(pilot, lambda: len(shown(pilot)) > 3)
        screen = chat(pilot)
        edge = prompt(pilot).region
        for y in (0, *range(edge.y, screen.size.height)):
            widgets = {type(screen.get_widget_at(x, y)[0]) for x in range(screen.size.width)}
            assert Toast not in widgets, y
