"""Whether it helped, as the events of a run tell it: the base model beside the tuned one, in numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from phichat.backends.base import Value
from phichat.events import Artifact, Event, Metric
from phichat.workflow.votes import Tally

REPORT, RESULT = "report.html", "result.json"
"""How the trainer calls what it leaves: the page for people, and everything for machines."""
NAMES = {
    "perplexity": "perplexity",
    "loss": "loss of a token",
    "token_accuracy": "tokens that are the first choice",
    "exact_match": "exact match of short answers",
    "f1": "F1 of short answers",
    "probes_right": "probes answered right",
    "general_right": "general questions answered right",
    "win_rate": "preferred by people",
}
"""The trainer's numbers, for people, and how those voted."""
SHARES = frozenset({"token_accuracy", "exact_match", "f1", "probes_right", "general_right", "win_rate"})
CLEAR = 0.02
"""Share of the base model's perplexity from which on a difference is one."""
FORGOTTEN = 0.1
"""Share of the general questions: of twelve, one may be lost by chance."""

Effect = Literal["helped", "forgot", "same", "harmed", "unknown"]


class Evaluation(Value):
    """Both models on the same held-out rows; the names of the numbers are the trainer's."""

    base: dict[str, float]
    """Empty where the base model was out of reach."""
    tuned: dict[str, float]
    report: str = ""
    """Where the page is: a path or a URL."""
    result: str = ""
    votes: int = 0
    """How many there are on both; what each won is among its numbers."""


def with_votes(found: Evaluation, tally: Tally) -> Evaluation:
    """The same with how people voted, if they did."""
    if not tally.votes:
        return found
    shares = {"base": 1 - tally.win_rate, "tuned": tally.win_rate}
    told = {model: {**getattr(found, model), "win_rate": share} for model, share in shares.items()}
    return found.model_copy(update={**told, "votes": tally.votes})


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


class Verdict(NamedTuple):
    """Whether it helped, in a word and a sentence."""

    effect: Effect
    sentence: str


def verdict(found: Evaluation) -> Verdict:
    """What the numbers of both models come to."""
    base, tuned = found.base, found.tuned
    if "perplexity" not in base or "perplexity" not in tuned:
        return Verdict("unknown", "The base model was out of reach: there is nothing to compare with.")
    told = f"perplexity {base['perplexity']:.2f} → {tuned['perplexity']:.2f}"
    if "probes_right" in tuned:
        told += f", probes {base.get('probes_right', 0):.0%} → {tuned['probes_right']:.0%}"
    learned = tuned.get("probes_right", 0) - base.get("probes_right", 0)
    lost = base.get("general_right", 0) - tuned.get("general_right", 0)
    change = tuned["perplexity"] / base["perplexity"] - 1
    if change > CLEAR and learned <= 0:
        return Verdict("harmed", f"It did harm: {told}.")
    if change > -CLEAR and learned <= 0:
        return Verdict("same", f"It changed next to nothing: {told}.")
    if lost <= 0:
        return Verdict("helped", f"It helped: {told}.")
    much = "" if lost > FORGOTTEN else " a little"
    general = f"{base['general_right']:.0%} → {tuned['general_right']:.0%}"
    told = f"It helped: {told}. But it forgot{much}: general questions {general}."
    return Verdict("helped" if much else "forgot", told)


def rows(found: Evaluation) -> list[tuple[str, str, str]]:
    """The numbers of both models as a table: what it is, base, tuned."""
    return [
        (_label(name, found), number(name, found.base.get(name)), number(name, found.tuned[name]))
        for name in NAMES
        if name in found.tuned
    ]


def number(name: str, value: float | None) -> str:
    """One of the trainer's numbers, for people."""
    if value is None:
        return "-"
    return f"{value:.0%}" if name in SHARES else f"{value:.3f}"


class Pair(Value):
    """What both models said to one question; the names are the trainer's."""

    prompt: str
    reference: str = ""
    """What was wanted, where one answer was."""
    base: str = ""
    tuned: str = ""


def changed(found: Evaluation) -> list[Pair]:
    """The questions that the models answer differently; none where the result is not on this machine."""
    try:
        told = json.loads(Path(found.result).read_text(encoding="utf-8"))
        every = [*told.get("probes", ()), *told.get("answers", ()), *told.get("general", ())]
        pairs = [Pair.model_validate(each) for each in every]
    except (OSError, ValueError):
        return []
    return [pair for pair in pairs if pair.base != pair.tuned]


def _label(name: str, found: Evaluation) -> str:
    if name != "win_rate":
        return NAMES[name]
    return f"{NAMES[name]} ({found.votes} vote{'' if found.votes == 1 else 's'})"


def _of(model: str, event: Metric) -> dict[str, float]:
    prefix = f"{model}_"
    return {
        name.removeprefix(prefix): value for name, value in event.values.items() if name.startswith(prefix)
    }
