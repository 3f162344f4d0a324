"""Did it help? The base model beside the tuned one, as a table and as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phichat.backends.base import TrainSpec
from phichat.cli.terminal import narrate, table
from phichat.errors import BackendError
from phichat.events import Status
from phichat.runs import FlowSpec

if TYPE_CHECKING:
    from phichat.runs import Run
    from phichat.workflow import Project
    from phichat.workflow.evaluation import Evaluation


def as_table(found: Evaluation) -> str:
    """The numbers of both models, one a line."""
    from phichat.workflow.evaluation import rows

    return table([("", "BASE", "TUNED"), *rows(found)])


def tell_end(project: Project, name: str, status: Status) -> None:
    """Say how a run ended, whether it helped, and what to do next.

    Raises:
        BackendError: it failed.
    """
    if status.state == "failed":
        reason = status.detail or "Nobody said why."
        raise BackendError(f"{name} failed: {reason}", _once_more(project.training.ledger.run(name)))
    if status.state == "cancelled":
        training = isinstance(project.training.ledger.run(name).spec, TrainSpec)
        on = " To go on from its last checkpoint: the same 'phichat train' again" if training else ""
        narrate(f"{name} was cancelled.{on}")
        return
    narrate(status.detail or f"{name} is done.")
    found = project.training.evaluation(project.training.ledger.run(name))
    if found:
        from phichat.workflow.evaluation import verdict

        narrate(as_table(found))
        narrate(verdict(found).sentence)
    if found and found.report:
        narrate(f"Report: {found.report}")
    narrate("Next: phichat deploy, then phichat chat")


def _once_more(run: Run) -> str:
    """Where a run that failed says more, and how to do it again."""
    if isinstance(run.spec, FlowSpec):
        return "phichat flow run"
    if isinstance(run.spec, TrainSpec):
        return f"phichat logs {run.name}; to go on: the same 'phichat train' again"
    return f"phichat logs {run.name}; once more: phichat eval"
