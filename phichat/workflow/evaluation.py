"""Whether it helped, as the events of a run tell it: the base model beside the tuned one, in numbers."""

from __future__ import annotations

from collections.abc import Iterable

from phichat.backends.base import Value
from phichat.events import Artifact, Event, Metric

REPORT, RESULT = "report.html", "result.json"
"""How the trainer calls what it leaves: the page for people, and everything for machines."""


class Evaluation(Value):
    """Both models on the same held-out rows; the names of the numbers are the trainer's."""

    base: dict[str, float]
    """Empty where the base model was out of reach."""
    tuned: dict[str, float]
    report: str = ""
    """Where the page is: a path or a URL."""
    result: str = ""


def evaluation(events: Iterable[Event]) -> Evaluation | None:
    """The last evaluation that a run tells of, if it does."""
    found: dict[str, dict[str, float]] = {}
    places: dict[str, str] = {}
    for event in events:
        if isinstance(event, Metric) and "tuned_loss" in event.values:
            found = {model: _of(model, event) for model in ("base", "tuned")}
        elif isinstance(event, Artifact):
            places[event.name] = event.uri
    if not found:
        return None
    return Evaluation(**found, report=places.get(REPORT, ""), result=places.get(RESULT, ""))


def _of(model: str, event: Metric) -> dict[str, float]:
    prefix = f"{model}_"
    return {
        name.removeprefix(prefix): value for name, value in event.values.items() if name.startswith(prefix)
    }
