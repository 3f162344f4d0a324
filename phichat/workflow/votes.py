"""How people voted on the answers of two models: kept in a file, counted, and told in a run's report."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, ValidationError

from phichat.backends.base import Value
from phichat.errors import DataError
from phichat.paths import append_line, lines_of, write_atomic

VOTES_FILE = "votes.jsonl"
"""In the folder of the run that is judged, else in the project's."""
PLACE = ("<!-- votes -->", "<!-- /votes -->")
"""Between these the trainer's report leaves room for them."""

Winner = Literal["left", "right", "tie"]


class Vote(Value):
    """Which of two answers a person found better."""

    at: float = Field(default_factory=time.time)
    """Seconds since the epoch."""
    left: str
    right: str
    """The titles of the sides."""
    question: str
    answers: tuple[str, str]
    winner: Winner
    blind: bool = False
    """Whether the person did not know which was which."""


class Tally(NamedTuple):
    """How the votes on a pair stand."""

    left: int
    right: int
    ties: int

    @property
    def votes(self) -> int:
        """How many there are."""
        return self.left + self.right + self.ties

    @property
    def win_rate(self) -> float:
        """The right one's share, a tie being half a win; 0 where nobody voted."""
        return (self.right + self.ties / 2) / self.votes if self.votes else 0.0


def counted(votes: Iterable[Vote]) -> Tally:
    """How these votes stand."""
    winners = Counter(vote.winner for vote in votes)
    return Tally(winners["left"], winners["right"], winners["tie"])


class Votes:
    """The votes in one file, a line each."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, vote: Vote) -> None:
        """Keep a vote.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            append_line(self.path, vote.model_dump_json())
        except OSError as error:
            raise DataError(f"{self.path} cannot be written: {error.strerror or error}.") from error

    def between(self, lefts: Iterable[str], right: str) -> Iterator[Vote]:
        """The votes on `right` against any of `lefts`, by title; a line that a crash cut off is none."""
        known = frozenset(lefts)
        for line in lines_of(self.path):
            try:
                vote = Vote.model_validate_json(line)
            except ValidationError:
                continue
            if vote.left in known and vote.right == right:
                yield vote


def base_title(base_model: str) -> str:
    """How a base model is called where it stands beside the tuned one."""
    return f"base: {short_title(base_model)}"


def tuned_title(run: str) -> str:
    """How the model of a run is called where it stands beside another one."""
    return f"tuned: {run}"


def short_title(base_model: str) -> str:
    """The last part of a base model's name."""
    return re.split(r"[\\/]", base_model.rstrip("\\/"))[-1].partition("@")[0]


def on_run(directory: Path, name: str, base_model: str) -> list[Vote]:
    """The votes on the model of a run against its base model; `directory` is the run's."""
    lefts = (base_title(base_model), short_title(base_model))
    return list(Votes(directory / VOTES_FILE).between(lefts, tuned_title(name)))


def into_report(report: Path, votes: Sequence[Vote]) -> None:
    """Write the votes into the place that a report has for them; a report without one stays as it is.

    Raises:
        DataError: it cannot be read or written.
    """
    try:
        text = report.read_text(encoding="utf-8")
        before, begin, rest = text.partition(PLACE[0])
        _, end, after = rest.partition(PLACE[1])
        if end:
            write_atomic(report, f"{before}{begin}{_section(votes)}{end}{after}")
    except OSError as error:
        raise DataError(f"{report} cannot be written: {error.strerror or error}.") from error


def _section(votes: Sequence[Vote]) -> str:
    tally = counted(votes)
    if not tally.votes:
        return ""
    sides = {"left": "base", "right": "tuned", "tie": "a tie"}
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in (vote.question, *vote.answers, sides[vote.winner]))
        + "</tr>"
        for vote in votes
    )
    told = f"The tuned model wins {tally.win_rate:.0%} of {tally.votes}"
    return (
        f"<h2>Votes</h2><p>{told}: {tally.right} better, {tally.left} worse, {tally.ties} alike.</p>"
        f"<table><tr><th>question</th><th>base</th><th>tuned</th><th>better</th></tr>{rows}</table>"
    )
