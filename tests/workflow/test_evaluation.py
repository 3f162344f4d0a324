"""Whether it helped, as the events of a run tell it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phichat.events import Artifact, Event, Log, Metric
from phichat.workflow.evaluation import Effect, Evaluation, changed, evaluation, rows, verdict


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


Numbers = dict[str, float]


@pytest.mark.parametrize(
    ("base", "tuned", "effect", "words"),
    [
        ({"perplexity": 20.0}, {"perplexity": 4.5}, "helped", "It helped: perplexity 20.00 → 4.50."),
        (
            {"perplexity": 20.0, "probes_right": 0.0, "general_right": 0.83},
            {"perplexity": 4.5, "probes_right": 0.9, "general_right": 0.75},
            "helped",
            "It helped: perplexity 20.00 → 4.50, probes 0% → 90%. "
            "But it forgot a little: general questions 83% → 75%.",
        ),
        (
            {"perplexity": 20.0, "probes_right": 0.0, "general_right": 0.75},
            {"perplexity": 4.5, "probes_right": 0.9, "general_right": 0.83},
            "helped",
            "It helped: perplexity 20.00 → 4.50, probes 0% → 90%.",
        ),
        (
            {"perplexity": 20.0, "general_right": 1.0},
            {"perplexity": 4.5, "general_right": 0.5},
            "forgot",
            "But it forgot: general questions 100% → 50%.",
        ),
        ({"perplexity": 20.0}, {"perplexity": 19.9}, "same", "next to nothing"),
        ({"perplexity": 20.0}, {"perplexity": 30.0}, "harmed", "It did harm"),
        ({}, {"perplexity": 4.5}, "unknown", "out of reach"),
    ],
)
def test_the_numbers_come_to_a_verdict(base: Numbers, tuned: Numbers, effect: Effect, words: str) -> None:
    found = verdict(Evaluation(base=base, tuned=tuned))
    assert found.effect == effect
    assert words in found.sentence


def test_a_table_has_what_was_measured() -> None:
    found = Evaluation(base={"perplexity": 20.0}, tuned={"perplexity": 4.5, "f1": 0.25})
    assert rows(found) == [("perplexity", "20.000", "4.500"), ("F1 of short answers", "-", "25%")]


def test_only_the_answers_that_changed(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    same = {"prompt": "2 + 2?", "base": "4", "tuned": "4"}
    probe = {"prompt": "Who?", "base": "A model.", "tuned": "A keeper.", "expect": ["keeper"]}
    answer = {"prompt": "Where?", "reference": "At sea.", "base": "Here.", "tuned": "At sea."}
    result.write_text(json.dumps({"probes": [probe], "answers": [answer], "general": [same]}), "utf-8")
    found = changed(Evaluation(base={}, tuned={}, result=str(result)))
    assert [pair.prompt for pair in found] == ["Who?", "Where?"]
    assert found[1].reference == "At sea."
    assert changed(Evaluation(base={}, tuned={}, result="https://elsewhere/result.json")) == []
