"""Before a training: on which data, with which settings, and what that would take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from textwrap import wrap
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from phichat.config.train import TrainConfig
from phichat.data.manifest import Manifest
from phichat.screens.choice import Choice
from phichat.screens.train.form import TrainForm
from phichat.screens.wording import plural, size
from phichat.workflow.estimates import price, spent_so_far, tight, time_needed
from phichat.workflow.outlook import Outlook

if TYPE_CHECKING:
    from phichat.backends.base import Check

LABEL = 25
"""Columns of a label; the form's are as wide."""

WIDE = 100
"""Columns from which on there is room for every number."""
UNIT = " Cluster Dedicated vCPUs"
"""What every quota is of, and too long to be said each time."""

Line = tuple[str, str]
"""A label, and what there is to say about it."""


class Setup(Vertical):
    """The data, the form, and the estimates below it."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(id="setup")
        self.form = TrainForm(config)
        self.outlook: Outlook | None = None
        self._checks: Sequence[Check] = ()

    def compose(self) -> ComposeResult:
        yield Static(id="setup-data")
        yield self.form
        yield Static(id="setup-meaning")
        yield Static(id="setup-facts")
        choices = (Choice("train.start"), Choice("train.more"), Choice("train.check"))
        yield Horizontal(*choices, classes="choices")

    def show(self, outlook: Outlook) -> None:
        """Show what the training would be."""
        self.outlook = outlook
        self.form.show_limit(not outlook.estimate.free)
        self.set_class(not outlook.estimate.free, "-costs")
        self.form.suggest({**outlook.spec.hyperparameters, "preset": outlook.preset})
        width = (self.size.width or self.app.size.width - 2) - 2
        data = _table([("Data", _data(outlook.prepared.manifest))], width)
        self.query_one("#setup-data", Static).update(data)
        facts = [*_facts(outlook), *_room(self._checks, width)]
        warnings = [*_warnings(outlook), *_missing(self._checks)]
        told = Content("\n").join([_table(facts, width), *map(_warning, warnings)])
        self.query_one("#setup-facts", Static).update(told)

    def show_checks(self, checks: Sequence[Check]) -> None:
        """Show what has to be in place before anything is paid for."""
        self._checks = checks
        if self.outlook:
            self.show(self.outlook)

    @property
    def lacking(self) -> bool:
        """Whether something is not in place."""
        return any(not check.ok for check in self._checks)

    def show_problem(self, problem: str) -> None:
        """Show what is wrong with the settings, in place of the estimates."""
        self.outlook = None
        self.query_one("#setup-facts", Static).update(_warning(problem))

    def show_meaning(self) -> None:
        """Say what the setting means that has the focus."""
        told = self.form.described(self.screen.focused)
        self.query_one("#setup-meaning", Static).update(Content(told))


def _data(manifest: Manifest) -> str:
    """What there is to learn from, in a line."""
    counts = manifest.counts
    source = "demo" if manifest.source_kind == "demo" else PurePath(manifest.source).name or manifest.source
    held = f"{counts.eval:,} held out" if counts.eval else "none held out"
    return f"{source} · {plural(counts.train, 'conversation')}, {held}"


def _facts(outlook: Outlook) -> list[Line]:
    work, estimate = outlook.work, outlook.estimate
    rows = plural(work.rows_per_step, "row")
    lines = [("Steps", f"about {work.steps:,}, {rows} each, to train {_how(work.method)}")]
    if needed := time_needed(estimate):
        # Where it costs something, the price says where both come from.
        sourced = estimate.source and estimate.free
        lines.append(("Time", f"{needed}, {estimate.source}" if sourced else needed))
    if estimate.memory_bytes:
        low, high = map(size, estimate.memory_bytes)
        free = f", {size(estimate.memory_free)} free" if estimate.memory_free else ""
        lines.append(("Memory", f"{low} to {high}{free}"))
    if estimate.download_bytes is None or estimate.download_bytes:
        amount = size(estimate.download_bytes) if estimate.download_bytes else "an unknown amount"
        lines.append(("Download", f"{amount} first: {outlook.spec.base_model} is not on this machine yet"))
    lines.append(("Cost", price(estimate) or "nothing"))
    if outlook.spending and (told := spent_so_far(outlook.spending)):
        lines.append(("Spent", told))
    return [*lines, ("Run", f"{outlook.spec.name}{_before(outlook)}")]


def _room(checks: Sequence[Check], width: int) -> list[Line]:
    """The quota of the machines that train and serve; where there is little room, only that it is enough."""
    quotas = [check.detail.replace(UNIT, "") for check in checks if check.ok and check.name == "quota"]
    if not quotas:
        return []
    told = "; ".join(quotas)
    return [("Quota", told if width >= WIDE else "enough for the machines that train and serve")]


def _missing(checks: Sequence[Check]) -> list[str]:
    """What is not in place yet; the first of it, as that is what has to be mended first."""
    failed = [check for check in checks if not check.ok]
    more = f" ({len(failed) - 1} more)" if len(failed) > 1 else ""
    return [f"{failed[0].name}: {failed[0].detail}{more}"] if failed else []


def _how(method: str) -> str:
    return "all weights" if method == "full" else f"an adapter ({method})"


def _before(outlook: Outlook) -> str:
    if outlook.before is None:
        return ""
    if outlook.before.state == "succeeded":
        return f" (once more: {outlook.before.name} is done)"
    if outlook.before.job is None:
        return " (it did not get as far as its start)"
    return " (it runs)" if not outlook.before.finished else " (it goes on from its last checkpoint)"


def _warnings(outlook: Outlook) -> list[str]:
    told = [outlook.refusal, *outlook.doubts]
    if tight(outlook.estimate):
        told.append("It will hardly fit. Lower batch size or max length, or take lora or another model.")
    return [each for each in told if each]


def _table(lines: list[Line], width: int) -> Content:
    """Labels, and beside them what there is to say, as wide as there is room."""
    rows = []
    for label, text in lines:
        wrapped = f"\n{'':{LABEL}}".join(wrap(text, max(width - LABEL, 20)))
        rows.append(Content.assemble((f"{label:<{LABEL}}", "$text-secondary"), wrapped))
    return Content("\n").join(rows)


def _warning(text: str) -> Content:
    return Content.assemble(("▲ ", "$text-warning"), text)
