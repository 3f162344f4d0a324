"""Did it help? The base model beside the tuned one, as a table and as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phichat.cli.terminal import narrate, table
from phichat.errors import BackendError
from phichat.events import Status

if TYPE_CHECKING:
    from phichat.workflow import Project
    from phichat.workflow.evaluation import Evaluation

NAMES = {
    "perplexity": "perplexity",
    "loss": "loss of a token",
    "token_accuracy": "tokens that are the first choice",
    "exact_match": "exact match of short answers",
    "f1": "F1 of short answers",
    "probes_right": "probes answered right",
    "general_right": "general questions answered right",
}
"""The trainer's numbers, for people."""
SHARES = frozenset({"token_accuracy", "exact_match", "f1", "probes_right", "general_right"})


def as_table(found: Evaluation) -> str:
    """The numbers of both models, one a line."""
    rows = [("", "BASE", "TUNED")]
    for name, label in NAMES.items():
        if name in found.tuned:
            rows.append((label, _number(name, found.base.get(name)), _number(name, found.tuned[name])))
    return table(rows)


def tell_end(project: Project, name: str, status: Status) -> None:
    """Say how a run ended, whether it helped, and what to do next.

    Raises:
        BackendError: it failed.
    """
    if status.state == "failed":
        reason = status.detail or "Nobody said why."
        raise BackendError(f"{name} failed: {reason}", f"phichat logs {name}; to go on: phichat train")
    if status.state == "cancelled":
        narrate(f"{name} was cancelled. To go on from its last checkpoint: phichat train")
        return
    narrate(status.detail or f"{name} is done.")
    found = project.training.evaluation(project.training.ledger.run(name))
    if found:
        narrate(as_table(found))
    if found and found.report:
        narrate(f"Report: {found.report}")
    narrate("Next: phichat deploy, then phichat chat")


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0%}" if name in SHARES else f"{value:.3f}"
