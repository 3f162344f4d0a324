"""The application over a script, in a project folder of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pyperclip
import pytest
from textual.pilot import Pilot

from phichat.app import PhichatApp
from tests.screens.driving import phase
from tests.screens.scripted import Script, have_weights, opener


@pytest.fixture(autouse=True)
def clipboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's clipboard is out of reach: a test must not take what a person has copied."""

    def refuse(text: str) -> None:
        raise pyperclip.PyperclipException("There is none.")

    monkeypatch.setattr(pyperclip, "copy", refuse)


@pytest.fixture
def script() -> Script:
    """What the backend does."""
    return Script()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project."""
    folder = tmp_path / "lighthouse"
    folder.mkdir()
    (folder / "phichat.toml").touch()
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of weights."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("PHICHAT_CACHE", str(cache))
    return cache


@pytest.fixture
def weights(cache: Path) -> None:
    """The default model is in the cache."""
    have_weights(cache)


@pytest.fixture
def app(script: Script, folder: Path, weights: None) -> PhichatApp:
    """The application, not running yet, with nothing to download."""
    app = PhichatApp(opener(script, folder))
    app.animation_level = "none"
    return app


@pytest.fixture
async def pilot(app: PhichatApp, script: Script) -> AsyncGenerator[Pilot[None], None]:
    """The running application with its model ready."""
    script.loaded.set()
    async with app.run_test() as pilot:
        await phase(pilot, "ready")
        yield pilot
