"""Did it help? The base model beside the tuned one, as a table and as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phichat.cli.terminal import narrate, table
from phichat.errors import BackendError
from phichat.events import Status
from phichat.runs import FlowSpec

if TYPE_CHECKING:
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
        flow = isinstance(project.training.ledger.run(name).spec, FlowSpec)
        hint = (
            "phichat flow run" if flow else f"phichat logs {name}; to go on: the same 'phichat train' again"
        )
        raise BackendError(f"{name} failed: {reason}", hint)
    if status.state == "cancelled":
        narrate(f"{name} was cancelled. To go on from its last checkpoint: the same 'phichat train' again")
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
