"""The numbers of an evaluation through the flow beside those of `phichat eval`."""

from __future__ import annotations

from phichat.backends.base import TrainSpec, Value
from phichat.flowrunner import report
from phichat.runs import FlowSpec, Run
from phichat.workflow import evaluation
from phichat.workflow.batches import FlowResult
from phichat.workflow.evaluation import Evaluation
from phichat.workflow.project import Project

HEAD = ("", "BASE", "TUNED", "FLOW")


class Beside(Value):
    """What the flow has come to, and what `phichat eval` has, where it did."""

    flow: FlowResult
    deployment: str
    """What the flow asked."""
    run: str = ""
    """The training whose models were compared; empty: none was."""
    compared: Evaluation | None = None


def beside(project: Project) -> Beside | None:
    """The latest evaluation through the flow, beside that of the deployed run, or of the newest one.

    None where nothing was evaluated through the flow.
    """
    found = project.flows.latest()
    if found is None:
        return None
    ledger = project.training.ledger
    spec = ledger.run(found.run).spec
    deployment = spec.deployment if isinstance(spec, FlowSpec) else ""
    trained = [run for run in ledger.runs() if _here(project, run)]
    current = project.serving.model
    # The sort is stable: of the others the newest stays first.
    for run in sorted(trained, key=lambda run: run.job is None or run.job.id != current):
        if compared := project.training.evaluation(run):
            return Beside(flow=found, deployment=deployment, run=run.name, compared=compared)
    return Beside(flow=found, deployment=deployment)


def table(found: Beside) -> list[tuple[str, ...]]:
    """What both have measured: what it is, base, tuned, flow; without a comparison only the flow's."""
    flow, compared = found.flow.metrics, found.compared
    if compared is None:
        return [(report.name_of(name), f"{value:.3f}") for name, value in flow.items()]
    names = [*flow, *(name for name in evaluation.NAMES if name in compared.tuned and name not in flow)]
    return [
        (
            _label(name),
            evaluation.number(name, compared.base.get(name)),
            evaluation.number(name, compared.tuned.get(name)),
            evaluation.number(name, flow.get(name)),
        )
        for name in names
    ]


def _label(name: str) -> str:
    """What is measured; of which rows it is, is another matter: the two do not ask the same."""
    told = report.name_of(name) if name in report.NAMES else evaluation.NAMES[name]
    return told[:1].upper() + told[1:]


def _here(project: Project, run: Run) -> bool:
    return isinstance(run.spec, TrainSpec) and run.backend == project.config.backend
