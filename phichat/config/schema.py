"""Every key that `phichat.toml` may hold, with its default, its limits and what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator
from pydantic.fields import FieldInfo

from phichat.backends.base import Written
from phichat.config.train import TrainConfig

Key = tuple[str, ...]
"""A key as its parts: `("data", "seed")` is `data.seed`."""

PERSONAL = frozenset({"theme", "keys"})
"""Belong to the person, not to the project: refused in `phichat.toml`."""
PATHS = frozenset({("base_model",), ("data", "source")})
"""May be a path; one that starts with `./`, `../` or `~` is relative to the file that says it."""


class DataConfig(Written):
    """Where the training conversations come from and how they are divided."""

    source: str | None = Field(
        default=None,
        examples=["conversations.jsonl"],
        description="file, folder, or dataset of the Hugging Face hub",
    )
    split: str | None = Field(default=None, examples=["train"], description="split of a hub dataset")
    test_size: float = Field(default=0.2, ge=0, lt=1, description="share of the rows held out to evaluate on")
    seed: int = Field(default=0, ge=0, description="decides which rows are held out")
    max_length: int | None = Field(
        default=None,
        ge=8,
        examples=[2048],
        description="tokens of a row that training keeps; default: the preset's",
    )


class DeployConfig(Written):
    """How a model is made available for chat."""

    endpoint: str = Field(default="", description="name of the endpoint; default: chosen by the backend")
    size: str = Field(
        default="", description="machine size, where the backend has a choice; on Azure cpu and gpu, too"
    )
    ttl_hours: float | None = Field(
        default=None,
        gt=0,
        examples=[8],
        description="hours after which a deployment may be removed; default: never",
    )
    gradual: bool = Field(
        default=False,
        description="where another deployment answers, give the new one 10, 50, then 100 % of the requests, "
        "with a question between; default: at once",
    )


class ChatConfig(Written):
    """How to answer; the limits are those of `ChatOptions`."""

    system: str = Field(default="", description="instruction before every conversation")
    temperature: float = Field(
        default=0, ge=0, le=2, description="randomness; at 0 a question always has the same answer"
    )
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="share of the probability that tokens are drawn from"
    )
    max_new_tokens: int = Field(default=512, ge=1, description="longest answer, in tokens")
    seed: int | None = Field(default=None, examples=[1], description="repeats the same random choices")
    overflow: Literal["error", "drop_oldest", "summarise"] = Field(
        default="drop_oldest",
        description="when a conversation no longer fits the model: refuse, leave out or summarise the oldest",
    )


class HistoryConfig(Written):
    """Where conversations are kept."""

    store: Literal["sqlite", "cosmos"] = Field(
        default="sqlite", description="a file of yours, or Azure Cosmos DB with a copy here"
    )
    endpoint: str = Field(
        default="",
        examples=["https://my-account.documents.azure.com:443/"],
        description="address of the Cosmos DB account",
    )
    owner: str = Field(
        default="", description="whose conversations: the same on all your machines, another for each person"
    )
    database: str = Field(default="phichat", min_length=1, description="database, made on first use")
    container: str = Field(default="history", min_length=1, description="container, made on first use")
    throughput: int | None = Field(
        default=None,
        ge=400,
        examples=[400],
        description="request units a second of a container that is made; default: the account's",
    )
    ttl_days: float | None = Field(
        default=None,
        gt=0,
        examples=[365.0],
        description="days after which an unchanged conversation is forgotten there; default: never",
    )

    @field_validator("endpoint")
    @classmethod
    def _encrypted(cls, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        if endpoint and (parts.scheme != "https" or not parts.hostname):
            raise ValueError("It must begin with https:// and name the account")
        return endpoint

    @field_validator("owner")
    @classmethod
    def _one_name(cls, owner: str) -> str:
        if "/" in owner or owner != owner.strip():
            raise ValueError("It must be a name without slashes")
        return owner


class Config(Written):
    """All of the configuration, validated; where each value came from is in `Loaded.origins`."""

    backend: str = Field(
        default="local", min_length=1, description="where it happens: see 'phichat backends'"
    )
    base_model: str | None = Field(
        default=None,
        min_length=1,
        examples=["smollm2"],
        description="alias ('phichat models'), hub id, or folder; default: smollm2",
    )
    data: DataConfig = Field(default=DataConfig())
    train: TrainConfig = Field(default=TrainConfig())
    deploy: DeployConfig = Field(default=DeployConfig())
    chat: ChatConfig = Field(default=ChatConfig())
    history: HistoryConfig = Field(default=HistoryConfig())
    # Not in the repr: an environment variable may have put a secret here.
    backends: dict[str, dict[str, Any]] = Field(default_factory=dict, repr=False)
    """The raw table of each backend; its own `settings_type` judges it when it is used."""
    theme: str | None = Field(default=None, min_length=1, description="colours of the application")
    keys: dict[str, str] = Field(default_factory=dict, description="keys of the application, by binding")


def keys_of(model: type[BaseModel], prefix: Key = ()) -> Iterator[tuple[Key, FieldInfo]]:
    """Every key that a model knows, with its field; a table's own keys in the table's place."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from keys_of(annotation, (*prefix, name))
        else:
            yield (*prefix, name), field
