"""What a person may say about how models run on this machine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from phichat.backends.base import Settings


class LocalSettings(Settings):
    """How models run on this machine."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="Where the model runs; auto takes a GPU if there is one."
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        examples=[2],
        description="Processor threads for the model; by default what was measured to be best.",
    )
    idle_stop: float = Field(
        default=30,
        ge=0,
        description="Minutes without a question after which the model server stops; 0: never.",
    )
    cache_gib: float | None = Field(
        default=None,
        gt=0,
        examples=[4],
        description="GiB for the conversations that the model has read; default: a quarter of what is free.",
    )
