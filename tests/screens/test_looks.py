"""How every state looks: the same as the last time somebody looked at it, and readable in every theme."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_textual_snapshot import SVGImageExtension
from rich.color import Color
from rich.segment import Segment
from syrupy.assertion import SnapshotAssertion
from textual.notifications import Notification
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets._footer import FooterKey

from phichat.app import PhichatApp
from phichat.screens import themes
from tests.screens.driving import still, strips
from tests.screens.scripted import Script, have_weights, opener
from tests.screens.states import STATES, WITHOUT_WEIGHTS

SMALL, LARGE = (80, 24), (120, 40)
READABLE = 4.5
"""WCAG 2.2, success criterion 1.4.3: the least contrast of text that everybody can read."""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the application tells stays for longer than a picture takes on the busiest machine."""
    monkeypatch.setattr(Notification, "time_left", 600.0)


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """The pictures of the last time somebody looked."""
    return snapshot.use_extension(SVGImageExtension)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("state", STATES)
async def test_it_looks_as_before_and_can_be_read(
    snapshot: SnapshotAssertion, script: Script, folder: Path, cache: Path, state: str, size: tuple[int, int]
) -> None:
    if state not in WITHOUT_WEIGHTS:
        have_weights(cache)
    app = PhichatApp(opener(script, folder))
    app.animation_level = "none"
    pictures: dict[str, str] = {}
    async with app.run_test(size=size, notifications=True) as pilot:
        await STATES[state](pilot, script)
        for theme in (themes.LIGHT.name, themes.DARK.name):
            app.theme = theme
            await still(pilot)
            pictures[theme] = app.export_screenshot(title=app.title, simplify=True)
            faint = {(text, f"{ratio:.1f}") for text, ratio in contrasts(pilot) if ratio < READABLE}
            assert not faint, theme
        assert not cut_off(pilot), "The footer has no room for it."
        if size == SMALL:
            strange = await colours_of_our_own(pilot)
            assert not strange, "The terminal's own colours are left to the terminal."
    for theme, picture in pictures.items():
        assert picture == snapshot(name=theme)


def cut_off(pilot: Pilot[None]) -> set[str]:
    """The names of the keys in the footer that are not to be seen whole."""
    keys = list(pilot.app.screen.query(FooterKey))
    end = next((key.region.x for key in keys if key.has_class("-command-palette")), pilot.app.size.width)
    # A key ends with a space, which may be missing.
    return {
        key.description for key in keys if key.region.x < end < key.region.right - 1 or key.region.x > end
    }


async def colours_of_our_own(pilot: Pilot[None]) -> set[Color]:
    """The colours in the theme of the terminal's own colours that are not the terminal's."""
    before = pilot.app.theme
    pilot.app.theme = "ansi-dark"
    await pilot.pause()
    colours = {colour for segment in words(pilot) for colour in colours_of(segment)}
    pilot.app.theme = before
    await pilot.pause()
    return {colour for colour in colours if not (colour.is_system_defined or colour.is_default)}


def words(pilot: Pilot[None]) -> Iterator[Segment]:
    """What has letters or digits in it, where one looks; lines and blocks are decoration."""
    screen = pilot.app.screen
    dialog = (child for child in screen.children if not child.has_class("-textual-system"))
    region = next(dialog).region if isinstance(screen, ModalScreen) else screen.region
    for line in strips(pilot)[region.y : region.bottom]:
        yield from (
            segment for segment in line.crop(region.x, region.right) if any(map(str.isalnum, segment.text))
        )


def colours_of(segment: Segment) -> list[Any]:
    style = segment.style
    return [colour for colour in (style.color, style.bgcolor) if colour] if style else []


def contrasts(pilot: Pilot[None]) -> Iterator[tuple[str, float]]:
    """The contrast of every word, by the formula of WCAG 2.2."""
    for segment in words(pilot):
        assert segment.style is not None
        assert segment.style.color is not None
        assert segment.style.bgcolor is not None
        light, dark = sorted(map(luminance, (segment.style.color, segment.style.bgcolor)), reverse=True)
        yield segment.text.strip(), (light + 0.05) / (dark + 0.05)


def luminance(colour: Color) -> float:
    parts = [part / 255 for part in colour.get_truecolor()]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
