"""What must be in place on this machine."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import psutil

from phichat.backends.base import Check

NEEDED = ("torch", "transformers", "trl", "starlette", "uvicorn")
GIB = 2**30


def packages() -> Check:
    """Whether the extra `local` is installed; nothing is imported."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return Check(
        name="packages",
        ok=not missing,
        detail=f"missing: {', '.join(missing)}" if missing else ", ".join(NEEDED),
        fix="pip install 'phichat[local]'" if missing else "",
    )


def memory() -> Check:
    """Whether the smallest model fits."""
    free = psutil.virtual_memory().available / GIB
    return Check(
        name="memory",
        ok=free >= 1.5,
        detail=f"{free:.1f} GiB free; SmolLM2 needs about 1.5, a Phi of 3.8 billion parameters about 16",
        fix="" if free >= 1.5 else "Close other programs, or choose a smaller base_model.",
    )


def disk(cache: Path) -> Check:
    """Whether the smallest model's weights fit."""
    place = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(place).free / GIB
    return Check(
        name="disk",
        ok=free >= 1,
        detail=f"{free:.1f} GiB free for weights in {cache}",
        fix=""
        if free >= 1
        else "Make room, remove weights with 'phichat models remove', or set PHICHAT_CACHE.",
    )
