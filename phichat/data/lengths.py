"""How long every row is: longer than the model's context is an error, longer than training keeps is noted."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from phichat.data.conversation import decode
from phichat.data.options import DataOptions
from phichat.data.problems import Fault
from phichat.data.spool import Findings
from phichat.data.table import EVAL, TRAIN, TRUNCATED, RowTable
from phichat.data.template import load_template, own_digest
from phichat.data.tokens import Histogram, TokenCounter, histogram
from phichat.errors import DataError
from phichat.events import Event, Step
from phichat.models.files import Meter

TEMPLATE_BYTES = 1024
"""More than a template adds to a row of its own, such as the turn of a default system."""


@dataclass(frozen=True)
class Counted:
    """What counting the tokens gave."""

    too_long: dict[int, Fault]
    """The rows that the model cannot see at once."""
    template: str = ""
    """SHA-256 of the template that the model is served with, which renders the same."""
    not_done: str = ""
    """Why nothing was counted."""
    rows: array[int] = field(default_factory=lambda: array("Q"))
    """Every row that fits, if every one was counted."""
    lengths: array[int] = field(default_factory=lambda: array("I"))
    """How many tokens each of them has."""

    def left(self, table: RowTable) -> Histogram | None:
        """The tokens of the rows that are left to train and to evaluate on, if every row was counted."""
        sides = table.side
        kept = [
            length for row, length in zip(self.rows, self.lengths, strict=True) if sides[row] in (TRAIN, EVAL)
        ]
        return histogram(kept) if kept else None


def count_tokens(
    found: Findings, options: DataOptions, every: bool, report: Callable[[Event], None]
) -> Counted:
    """Count the rows' tokens; without `every`, only of rows that may be longer than the context."""
    model = options.model
    if model is None:
        return Counted({}, not_done="token counts: no base model was named")
    if model.folder is None:
        pull = f"phichat models pull {model.name}"
        return Counted({}, not_done=f"token counts: {model.name} is not on this machine ({pull})")
    if not (model.folder / "tokenizer.json").is_file():
        return Counted({}, not_done=f"token counts: {model.name} has no tokenizer.json")
    try:
        template = load_template(model.folder, model.training_template)
        if template is None:
            return Counted({}, not_done=f"token counts: {model.name} has no chat template")
        counter = TokenCounter(model.folder, template)
    except DataError as error:
        return Counted({}, not_done=f"token counts: {error.message} {error.hint}".rstrip())
    report(Step(name="count tokens", state="running", detail=model.name))
    rows, lengths, too_long = _count(found, counter, options, every, report)
    report(Step(name="count tokens", state="done", detail=f"{sum(lengths):,} tokens"))
    counted = Counted(too_long, own_digest(model.folder))
    return replace(counted, rows=rows, lengths=lengths) if every else counted


def _count(
    found: Findings, counter: TokenCounter, options: DataOptions, every: bool, report: Callable[[Event], None]
) -> tuple[array[int], array[int], dict[int, Fault]]:
    """The rows that fit, their lengths, and the rows that do not."""
    context = options.model.context if options.model else None
    # No text has more tokens than bytes: a row that is shorter fits for certain.
    shortest = -1 if every else (context - TEMPLATE_BYTES if context else None)
    fitting, lengths, too_long = array("Q"), array("I"), dict[int, Fault]()
    if shortest is None:
        return fitting, lengths, too_long
    rows = array("Q", (row for row, line in found.lines() if len(line) > shortest))
    texts = (decode(line) for _, line in found.lines() if len(line) > shortest)
    meter = Meter("Counting tokens", report, "rows")
    for done, (row, length) in enumerate(zip(rows, counter.count(texts), strict=True), 1):
        if context and length > context:
            told = f"the row is {length:,} tokens long, but the model sees {context:,} at once."
            too_long[row] = Fault("too_long", "", told)
        else:
            fitting.append(row)
            lengths.append(length)
            if options.kept and length > options.kept:
                found.table.flags[row] |= TRUNCATED
        meter(done, len(rows))
    return fitting, lengths, too_long
