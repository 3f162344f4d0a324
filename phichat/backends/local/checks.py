"""What must be in place on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

import psutil

from phichat.backends.base import Check

NEEDED = ("torch", "transformers", "trl", "starlette", "uvicorn")
GIB = 2**30
GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Where Linux has a GPU of NVIDIA, that of Windows below WSL, and one of AMD."""


def packages() -> Check:
    """Whether the extra `local` is installed; nothing is imported."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return Check(
        name="packages",
        ok=not missing,
        detail=f"missing: {', '.join(missing)}" if missing else ", ".join(NEEDED),
        fix="pip install 'phichat[local]'" if missing else "",
    )


def device(chosen: str) -> Check:
    """Whether the chosen processor is there, as far as can be told without loading PyTorch."""
    lacking = _lacking(chosen)
    fix = 'Set device = "auto" under [backends.local].' if lacking else ""
    return Check(name="device", ok=not lacking, detail=lacking or chosen, fix=fix)


def _lacking(chosen: str) -> str:
    if chosen == "mps" and (sys.platform, platform.machine()) != ("darwin", "arm64"):
        return "mps is the GPU of an Apple silicon Mac, which this is not"
    if chosen != "cuda":
        return ""
    if shutil.which("nvidia-smi") is None and not any(map(Path.exists, map(Path, GPU_DEVICES))):
        return "cuda needs a GPU, and none is found here"
    with contextlib.suppress(metadata.PackageNotFoundError):
        if metadata.version("torch").endswith("+cpu"):
            return "cuda needs another build of PyTorch: the one that is installed is for the CPU alone"
    return ""


def memory() -> Check:
    """Whether the smallest model fits."""
    free = psutil.virtual_memory().available / GIB
    return Check(
        name="memory",
        ok=free >= 1.5,
        detail=f"{free:.1f} GiB free; the smallest model needs about 1.5",
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
