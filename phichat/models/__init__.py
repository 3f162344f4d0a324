"""Base models: a catalogue of what is known about them, and how to get their weights."""

from __future__ import annotations

from phichat.models.cache import Installed, cached, installed, remove
from phichat.models.catalogue import DEFAULT, CatalogueEntry, LearningRate, PresetName, catalogue
from phichat.models.pull import pull
from phichat.models.refs import ModelRef, resolve

__all__ = [
    "DEFAULT",
    "CatalogueEntry",
    "Installed",
    "LearningRate",
    "ModelRef",
    "PresetName",
    "cached",
    "catalogue",
    "download_size",
    "installed",
    "pull",
    "remove",
    "resolve",
]


def download_size(ref: ModelRef) -> int | None:
    """Bytes that a pull downloads when nothing is cached; 0 for a folder, None when nobody knows."""
    if ref.folder:
        return 0
    return ref.entry.download_bytes if ref.entry else None
