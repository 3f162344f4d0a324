"""The real SmolLM2 after download and conversion."""

from __future__ import annotations

from pathlib import Path


async def test_is_complete(smollm2: Path) -> None:
    assert (smollm2 / "model.safetensors").is_file()
