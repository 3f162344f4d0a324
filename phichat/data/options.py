"""What a person may choose about preparing data, and what the base model brings to it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from phichat.backends.base import Written
from phichat.data.conversation import Role

Treatment = Literal["off", "report", "remove"]
"""What to do with what a health check finds."""


class ModelFiles(Written):
    """What the checks need of a base model; without `folder` they fall back or are named as not done."""

    name: str
    """What people call it: it stands in messages."""
    folder: Path | None = None
    """Holds `tokenizer.json` and the chat template; None while the weights are not on this machine."""
    context: int | None = Field(default=None, ge=1)
    """Tokens that the model can see at once."""
    special_tokens: tuple[str, ...] = ()
    """The ones that are known without the tokenizer."""
    training_template: Path | None = None
    """The chat template that marks what is trained; None: the folder's own template."""
    keeps: int | None = Field(default=None, ge=1)
    """Tokens of a row that training will keep; None: as many as are chosen, else the context."""


class DataOptions(Written):
    """How to read, check and divide conversations."""

    format: str | None = None
    """Name of the rows' format; None: recognised by their keys."""
    columns: dict[Role, str] = Field(default_factory=dict)
    """The columns of flat rows that hold each role's text; overrides `format`."""
    split: str | None = None
    """Split expression of a hub dataset, such as `train_sft[:1%]`."""
    subset: str | None = None
    """Configuration of a hub dataset that has several."""
    revision: str | None = None
    """Commit, tag or branch of a hub dataset; None: the newest."""
    test_size: float = Field(default=0.2, ge=0, lt=1)
    """Share of the rows that is held out; 0: none."""
    seed: int = Field(default=0, ge=0)
    """Decides which rows are held out."""
    skip_bad: bool = False
    """Leave rows with errors out, instead of refusing the source."""
    duplicates: Treatment = "report"
    """Rows that are equal to an earlier one."""
    near_duplicates: Treatment = "report"
    """Rows that nearly repeat an earlier one; `off` also lets them fall on different sides."""
    leakage: Treatment = "report"
    """Held-out rows whose questions are trained on with other answers."""
    personal: Literal["off", "report", "mask", "remove"] = "report"
    """Likely personal data and keys."""
    tokens: bool = True
    """Count every row's tokens with the model's tokenizer."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a row that training is to keep; None: as many as it is configured to."""
    model: ModelFiles | None = None
    cache: Path | None = None
    """Where hub datasets are kept; None: where the hub's own library keeps them."""

    @property
    def kept(self) -> int | None:
        """Tokens of a row that training will keep, as far as anything says so."""
        return (self.model and self.model.keeps) or self.max_length
