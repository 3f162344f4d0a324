"""The evaluation flow's own code: the numbers, and that they are the ones of the trainer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import metrics
import scoring

PAIRS = [
    ("The Paris.", "paris"),
    ("Bill Gates and me", "Bill Gates and Paul Allen"),
    ("", ""),
    ("", "something"),
    ("no", "yes"),
    ("an a the", "the"),
]


def test_the_numbers_by_hand() -> None:
    assert metrics.judge("The Paris.", "paris") == {"exact_match": 1, "f1": 1, "similarity": 1}
    found = metrics.judge("Bill Gates and me", "Bill Gates and Paul Allen")
    assert found["exact_match"] == 0
    assert found["f1"] == pytest.approx(2 * 3 / (4 + 5))
    assert found["similarity"] == pytest.approx(2 * 16 / (17 + 25))
    assert metrics.judge("no", "yes") == {"exact_match": 0, "f1": 0, "similarity": 0}


@pytest.mark.parametrize(("answer", "reference"), PAIRS)
def test_they_are_those_of_the_trainer(answer: str, reference: str) -> None:
    assert metrics.exact_match(answer, reference) == scoring.exact_match(answer, reference)
    assert metrics.f1(answer, reference) == scoring.f1(answer, reference)


def test_the_means_are_over_all_answers(tmp_path: Path) -> None:
    data, results = tmp_path / "data.jsonl", tmp_path / "results.jsonl"
    rows = [{"answer": answer, "reference": reference} for answer, reference in PAIRS]
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert metrics.main([str(data), str(results)]) == 0
    *lines, last = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    assert [line["line_number"] for line in lines] == list(range(len(PAIRS)))
    for name, mean in last["metrics"].items():
        assert mean == pytest.approx(sum(line[name] for line in lines) / len(lines))


def test_nothing_has_no_means() -> None:
    assert metrics.summary([]) == {}
