"""Fixtures of the configuration's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keyring
import pytest

from phichat.config import Loaded, load, secret
from phichat.errors import ConfigError
from phichat.paths import Folders
from tests.config.keyrings import MemoryKeyring


@pytest.fixture(autouse=True)
def safe(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    """A keyring in memory in place of the developer's own, and no secret known from another test."""
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    monkeypatch.setattr(secret, "_revealed", set())
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield memory
    keyring.set_keyring(before)


class Place:
    """A project and a person's folder to write configuration into."""

    def __init__(self, root: Path) -> None:
        self.project = root / "project"
        self.project.mkdir()
        self.file = self.project / "phichat.toml"
        self.own = root / "own" / "config.toml"
        self.own.parent.mkdir()
        self.folders = Folders(self.own.parent, root / "data", root / "cache")

    def load(
        self,
        project: str | None = None,
        user: str | None = None,
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
    ) -> Loaded:
        """What these texts, variables and flags amount to."""
        if project is not None:
            self.file.write_text(project, encoding="utf-8")
        if user is not None:
            self.own.write_text(user, encoding="utf-8")
        return load(flags or {}, environ or {}, self.project, self.folders)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


Refused = Callable[..., ConfigError]


@pytest.fixture
def refused(place: Place) -> Refused:
    """Loads what must be refused, and gives the error."""

    def attempt(*args: Any, **kwargs: Any) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            place.load(*args, **kwargs)
        return caught.value

    return attempt
