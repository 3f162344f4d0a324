"""What one can choose from: the installed backends, broken ones included, and the models of the catalogue."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from phichat import models
from phichat.backends.base import Settings
from phichat.backends.registry import Description, Registry
from phichat.config import secret
from phichat.errors import ConfigError, PhichatError
from phichat.workflow.guard import bounded

SECONDS = 30.0
"""How long importing every plugin may take before they are listed without being looked at."""


@dataclass(frozen=True)
class Offers:
    """The backends with their settings, as far as they can be loaded."""

    backends: tuple[Description, ...] = ()
    settings: Mapping[str, type[Settings]] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelOffer:
    """A model to choose."""

    name: str
    title: str
    parameters: str
    context: str
    licence: str
    bytes: int
    """To download, or on disk where it is here."""
    here: bool


async def offers(registry: Registry) -> Offers:
    """Every installed backend; imports them, each in a try, outside of the event loop."""

    async def look() -> Offers:
        told = tuple(registry.describe())
        types = {}
        for each in told:
            with contextlib.suppress(PhichatError):
                types[each.name] = registry.load(each.name).settings_type
        return Offers(told, types)

    try:
        return await bounded(look, SECONDS)
    except TimeoutError:
        told = "It did not load in time."
        names = registry.names()
        return Offers(tuple(Description(name, registry.package(name), error=told) for name in names))


def secret_sources(offers: Offers, environ: Mapping[str, str]) -> dict[str, str]:
    """Where every secret is that phichat or a backend can use; empty where it is nowhere."""
    names = [secret.HF_TOKEN]
    for backend, settings in offers.settings.items():
        names += secret.secrets_of(settings, backend)
    found = {}
    for name in names:
        try:
            found[name] = secret.source_of(name, environ)
        except ConfigError:
            found[name] = "a keyring that is locked"
    return found


def model_offers(cache: Path) -> list[ModelOffer]:
    """The catalogue, and whatever else is on this machine."""
    here = {each.name: each for each in models.installed(cache)}
    found = []
    for alias, entry in models.catalogue().items():
        there = here.pop(alias, None)
        size = there.bytes if there else entry.download_bytes
        found.append(
            ModelOffer(
                alias,
                entry.title,
                _count(entry.parameters),
                f"{entry.context:,}",
                entry.licence,
                size,
                there is not None,
            )
        )
    found += [
        ModelOffer(each.name, each.title, "", "", each.licence, each.bytes, True) for each in here.values()
    ]
    return found


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.0f} M"
