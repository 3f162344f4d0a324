"""What the data checks need of a base model that a person named."""

from __future__ import annotations

import json
from pathlib import Path

from phichat import models
from phichat.data.options import ModelFiles
from phichat.paths import bundled


def model_files(name: str, cache: Path) -> ModelFiles:
    """The files and facts of a model; `cache` is the folder that `models.pull` puts weights in.

    Raises:
        ConfigError: there is no such model.
    """
    ref = models.resolve(name)
    folder = models.cached(ref, cache)
    entry = ref.entry
    template = bundled("trainer") / "templates" / entry.training_template if entry else None
    return ModelFiles(
        name=ref.name,
        folder=folder,
        context=entry.context if entry else _context(folder),
        special_tokens=(*entry.stop_tokens, entry.pad_token) if entry else (),
        training_template=template if template and template.is_file() else None,
    )


def _context(folder: Path | None) -> int | None:
    """Tokens that a model can see at once, as its own configuration says."""
    if folder is None:
        return None
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    context = config.get("max_position_embeddings")
    return int(context) if context else None
