"""Backends are listed by their metadata, loaded one at a time, and blamed by the package they come from."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from phichat_markov import Markov, MarkovSettings
from pydantic import Field, field_validator

from phichat.backends.base import AnyBackend
from phichat.backends.hookspecs import hookimpl
from phichat.backends.registry import GROUP, Registry
from phichat.errors import ConfigError, PluginError


class FussySettings(MarkovSettings):
    """Refuses in more than one way."""

    place: str = Field(default="here", description="Where.")

    @field_validator("place")
    @classmethod
    def _known(cls, place: str) -> str:
        if place == "nowhere":
            raise LookupError("no such place")
        return place


class Fussy(Markov):
    """Does not open everywhere."""

    settings_type = FussySettings

    def __init__(self, settings: MarkovSettings, workdir: Path) -> None:
        super().__init__(settings, workdir)
        if isinstance(settings, FussySettings) and settings.place == "there":
            raise RuntimeError("cannot go there")


@hookimpl
def phichat_backend() -> type[AnyBackend]:
    return Fussy


def entry(name: str, value: str = __name__) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


@pytest.fixture
def registry() -> Registry:
    return Registry(lambda: [entry("fussy"), entry("broken", "tests.plugins.broken.crash"), entry("another")])


def test_the_built_in_backend_is_installed_like_any_other() -> None:
    assert "local" in Registry().names()
    assert Registry().load("local").title == "This machine"


def test_names_are_sorted(registry: Registry) -> None:
    assert registry.names() == ["another", "broken", "fussy"]


def test_the_settings_reach_the_backend(registry: Registry, tmp_path: Path) -> None:
    backend = registry.open("fussy", {"place": "here"}, tmp_path)
    assert backend.settings == FussySettings(place="here")
    assert backend.workdir == tmp_path


def test_settings_that_are_checked_already_are_taken_as_they_are(registry: Registry, tmp_path: Path) -> None:
    settings = FussySettings(place="elsewhere")
    assert registry.open("fussy", settings, tmp_path).settings is settings


@pytest.mark.parametrize(("key", "value"), [("place", 7), ("plaice", "here")])
def test_a_wrong_setting_is_named(registry: Registry, tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"Setting '{key}' of backend 'fussy'"):
        registry.open("fussy", {key: value}, tmp_path)


@pytest.mark.parametrize("place", ["there", "nowhere"])
def test_a_backend_that_fails_to_open_is_its_packages_fault(
    registry: Registry, tmp_path: Path, place: str
) -> None:
    with pytest.raises(PluginError, match="Backend 'fussy' cannot be opened") as caught:
        registry.open("fussy", {"place": place}, tmp_path)
    assert __name__ in caught.value.hint


def test_nothing_similar_lists_what_there_is(registry: Registry) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.load("mainframe")
    assert caught.value.hint == "Installed backends: another, broken, fussy."


def test_a_backend_is_loaded_once(registry: Registry) -> None:
    assert registry.load("fussy") is registry.load("fussy")
