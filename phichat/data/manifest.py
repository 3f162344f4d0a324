"""What was prepared from what: the file beside the rows that says everything about them."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field, ValidationError

from phichat.backends.base import Dataset, Value
from phichat.data.problems import Kind
from phichat.data.tokens import Histogram
from phichat.errors import DataError
from phichat.paths import write_atomic

MANIFEST_FILE = "manifest.json"
CURRENT_FILE = "current.json"


class PartReport(Value):
    """One file of the source, and what it turned out to be."""

    name: str
    kind: str
    """JSON lines, JSON array, CSV, Parquet, …"""
    format: str
    evidence: str
    """Why it is that format."""
    unit: str
    """What its rows are counted in: line or row."""
    rows: int


class SplitReport(Value):
    """How the rows were divided."""

    seed: int
    test_size: float
    """The share that was wanted."""
    share: float
    """The share that was reached."""
    given: bool = False
    """The source was divided already, and that was kept."""
    clusters: int = 0
    """Groups of rows that are kept together, a row alone counted as one."""


class Counts(Value):
    """How many rows; `read` is the sum of `train`, `eval`, `bad` and `removed`."""

    read: int
    train: int
    eval: int
    train_bytes: int = 0
    eval_bytes: int = 0
    bad: int
    removed: int
    problems: dict[Kind, int] = Field(default_factory=dict)
    """Faults by kind; a row may have several."""
    duplicates: int = 0
    near_duplicates: int = 0
    leaked: int = 0
    personal_rows: int = 0
    personal: dict[str, int] = Field(default_factory=dict)
    """Finds by kind."""
    truncated: int = 0


class Manifest(Value):
    """Everything about one prepared dataset; the same input gives the same manifest."""

    fingerprint: str = ""
    """Names the rows of both sides, their order included."""
    source: str
    source_kind: str
    revision: str = ""
    parts: tuple[PartReport, ...]
    counts: Counts
    split: SplitReport
    treated: dict[str, str] = Field(default_factory=dict)
    """What was done about each health check: off, report, mask or remove."""
    ignored: dict[str, int] = Field(default_factory=dict)
    """Fields that nobody reads, and in how many places they stood."""
    passed_over: tuple[str, ...] = ()
    """Files of the folder that hold no rows."""
    not_done: tuple[str, ...] = ()
    """Checks that could not be done, each with its reason."""
    model: str = ""
    template: str = ""
    """SHA-256 of the base model's own chat template."""
    max_length: int | None = None
    """Tokens of a row that training keeps: what is longer was counted as truncated."""
    chosen_length: int | None = None
    """That number where it was chosen for these data, and was not only what training would have done."""
    tokens: Histogram | None = None


class Prepared:
    """A prepared dataset on disk."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def dataset(self) -> Dataset:
        """What a training job is given."""
        counts = self.manifest.counts
        return Dataset(
            train_file=self.folder / "train.jsonl",
            eval_file=self.folder / "eval.jsonl" if counts.eval else None,
            fingerprint=self.manifest.fingerprint,
            train_rows=counts.train,
            eval_rows=counts.eval,
        )

    @property
    def whole(self) -> bool:
        """Whether the files are as long as they were: a power failure may have cut them off."""
        counts = self.manifest.counts
        expected = (counts.train_bytes, counts.eval_bytes)
        files = (self.folder / "train.jsonl", self.folder / "eval.jsonl")
        return expected == tuple(file.stat().st_size if file.exists() else 0 for file in files)

    @property
    def problems_file(self) -> Path:
        """Every fault of the rows that were left out, one a line."""
        return self.folder / "problems.jsonl"


def open_prepared(folder: Path) -> Prepared:
    """A dataset that was prepared earlier.

    Raises:
        DataError: there is none in the folder, or its manifest cannot be read.
    """
    try:
        text = (folder / MANIFEST_FILE).read_text(encoding="utf-8")
        prepared = Prepared(folder, Manifest.model_validate_json(text))
    except (OSError, ValidationError) as error:
        raise DataError(f"There is no prepared data in {folder}.", "phichat data SOURCE") from error
    if not prepared.whole:
        raise DataError(f"The prepared data in {folder} is damaged.", "phichat data SOURCE")
    return prepared


def remember(out: Path, fingerprint: str) -> None:
    """Make a dataset the one that the next training uses; `out` is the project's data folder."""
    write_atomic(out / CURRENT_FILE, json.dumps({"fingerprint": fingerprint}) + "\n")


def current(out: Path) -> Prepared | None:
    """The dataset that was prepared last, if it is still there."""
    try:
        fingerprint = json.loads((out / CURRENT_FILE).read_text(encoding="utf-8"))["fingerprint"]
        return open_prepared(out / str(fingerprint))
    except (OSError, ValueError, KeyError, TypeError, DataError):
        return None
