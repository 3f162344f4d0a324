"""Whether it helped, as the events of a run tell it."""

from __future__ import annotations

from phichat.events import Artifact, Event, Log, Metric
from phichat.workflow.evaluation import Evaluation, evaluation


def exam(loss: float) -> Metric:
    return Metric(step=9, values={"base_loss": 3.0, "tuned_loss": loss, "tuned_f1": 0.5})


def test_the_last_evaluation_counts() -> None:
    events: list[Event] = [
        Metric(step=1, values={"loss": 1.0}),
        exam(2.0),
        Artifact(name="report.html", uri="old"),
        Artifact(name="model", uri="elsewhere"),
        Log(line="x"),
        exam(1.0),
        Artifact(name="report.html", uri="new"),
        Artifact(name="result.json", uri="result"),
    ]
    assert evaluation(events) == Evaluation(
        base={"loss": 3.0}, tuned={"loss": 1.0, "f1": 0.5}, report="new", result="result"
    )


def test_a_base_model_out_of_reach_has_no_numbers() -> None:
    found = evaluation([Metric(step=0, values={"tuned_loss": 1.0})])
    assert found == Evaluation(base={}, tuned={"loss": 1.0})


def test_training_alone_is_no_evaluation() -> None:
    assert evaluation([Metric(step=1, values={"loss": 1.0, "eval_loss": 2.0})]) is None
