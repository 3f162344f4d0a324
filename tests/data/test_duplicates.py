"""Rows that repeat each other, and questions that stand on both sides."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from phichat.data.conversation import Conversation, Turn
from phichat.data.duplicates import THRESHOLD, join_near, shingles
from phichat.data.split import Clusters
from tests.data.conftest import Work, chat, tower, write

WORDS = [f"{first}{second}" for first in "bdfghklmnprst" for second in ("ane", "ill", "oke", "umpe", "eef")]


def conversation(text: str, system: str = "") -> Conversation:
    """One exchange."""
    turns = [Turn("user", "Tell me."), Turn("assistant", text)]
    return Conversation([Turn("system", system), *turns] if system else turns)


def clustered(texts: list[str]) -> list[int]:
    """The cluster of each text."""
    clusters = Clusters([bytes([number]) for number in range(len(texts))])
    join_near(((number, conversation(text)) for number, text in enumerate(texts)), clusters, lambda _: None)
    return [clusters.root(number) for number in range(len(texts))]


def overlap(one: str, other: str) -> float:
    """The exact share that the estimate is an estimate of."""
    a, b = set(shingles(conversation(one))), set(shingles(conversation(other)))
    return len(a & b) / len(a | b)


def test_texts_well_above_the_threshold_are_found_and_those_well_below_are_not() -> None:
    source = random.Random(3)
    missed = wrong = 0
    for _ in range(60):
        words = source.choices(WORDS, k=300)
        near, far = list(words), list(words)
        for at in source.sample(range(300), 5):
            near[at] = "changed"
        for at in source.sample(range(300), 40):
            far[at] = "changed"
        one, two, three = " ".join(words), " ".join(near), " ".join(far)
        assert overlap(one, two) > 0.88 > THRESHOLD > 0.7 > overlap(one, three)
        found = clustered([one, two, three])
        missed += found[0] != found[1]
        wrong += found[2] in found[:2]
    assert missed == 0
    assert wrong == 0


def test_case_and_white_space_do_not_tell_texts_apart() -> None:
    assert clustered(["One two three four five.", "one  TWO three\nfour five."]) == [0, 0]


def test_a_common_system_turn_makes_nothing_alike() -> None:
    system = " ".join(WORDS * 5)
    one, other = conversation("The cat is called Biscuit.", system), conversation("It is nine.", system)
    assert not set(shingles(one)) & set(shingles(other)) - set(shingles(conversation("")))


def test_duplicates_are_reported(prepared: Work) -> None:
    done = prepared([tower(1), tower(2), tower(1), tower(1)])
    assert done.manifest.counts.duplicates == 2
    assert done.manifest.counts.near_duplicates == 0
    assert len(done.good) == 4


def test_duplicates_are_removed_but_never_unsaid(prepared: Work) -> None:
    done = prepared([tower(1), tower(2), tower(1), tower(1)], duplicates="remove")
    assert done.manifest.counts.removed == 2
    assert len(done.good) == 2
    assert done.rows("removed") == [tower(1), tower(1)]


def test_near_duplicates_are_removed_but_the_first(prepared: Work) -> None:
    text = " ".join(WORDS)
    rows = [chat("Tell me.", text), chat("Tell me.", f"{text} Indeed."), tower(1), tower(2)]
    done = prepared(rows, near_duplicates="remove")
    assert done.manifest.counts.near_duplicates == 1
    assert done.rows("removed") == [rows[1]]


def test_checks_that_are_off_find_nothing(prepared: Work) -> None:
    done = prepared([tower(1)] * 3, duplicates="off", near_duplicates="off", leakage="off")
    counts = done.manifest.counts
    assert (counts.duplicates, counts.near_duplicates, counts.leaked) == (0, 0, 0)
    assert not [event for event in done.events if getattr(event, "name", "") in ("duplicates", "leakage")]


def leaking() -> list[dict[str, object]]:
    """Thirty rows of one question and thirty others."""
    same = [chat("Tell me a number.", f"{number} of {number}, {number * 3}") for number in range(30)]
    return [*same, *(tower(number) for number in range(30))]


def test_the_same_question_on_both_sides_is_leakage(prepared: Work) -> None:
    done = prepared(leaking())
    held = sum("Tell me" in str(row) for row in done.rows("eval"))
    assert held > 0
    assert done.manifest.counts.leaked == held


def test_leakage_is_removed_from_what_is_held_out(prepared: Work) -> None:
    done = prepared(leaking(), leakage="remove")
    assert not any("Tell me" in str(row) for row in done.rows("eval"))
    assert sum("Tell me" in str(row) for row in done.rows("train")) == 30 - len(done.rows("removed"))


@pytest.mark.parametrize("names", [("train.jsonl", "valid.jsonl"), ("train-0.jsonl", "test-0.jsonl")])
def test_a_folder_that_is_divided_already_stays_so(
    prepared: Work, tmp_path: Path, names: tuple[str, str]
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder / names[0], [tower(number) for number in range(4)])
    write(folder / names[1], [tower(number) for number in range(3, 6)])
    (folder / "README.md").write_text("# Towers")
    done = prepared(folder)
    assert done.manifest.split.given
    assert done.rows("train") == [tower(number) for number in range(4)]
    assert done.rows("eval") == [tower(number) for number in range(3, 6)]
    assert done.manifest.counts.leaked == 1
    assert done.manifest.passed_over == ("README.md",)


def test_a_near_duplicate_on_the_other_side_of_a_given_division_is_leakage(
    prepared: Work, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    text = " ".join(WORDS)
    write(folder / "train.jsonl", [chat("Tell me all.", text), tower(1)])
    write(folder / "eval.jsonl", [chat("Tell me everything.", text), tower(2)])
    done = prepared(folder, leakage="remove")
    assert done.manifest.counts.leaked == 1
    assert done.rows("eval") == [tower(2)]
    assert done.rows("removed") == [chat("Tell me everything.", text)]


ASKED = [{"question": "Why?", "answer": "So."}, {"question": "When?", "answer": "Now."}]


def test_a_folder_of_any_files_is_one_source(prepared: Work, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "more").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    write(folder / "train.jsonl", [tower(1), tower(2)])
    write(folder / "more" / "b.jsonl", [*ASKED, {"question": "Who?"}])
    write(folder / ".hidden" / "c.jsonl", [tower(3)])
    done = prepared(folder)
    assert not done.manifest.split.given
    assert [part.name for part in done.manifest.parts] == ["more/b.jsonl", "train.jsonl"]
    assert done.told == ["more/b.jsonl, line 3: the row has no 'question' and 'answer', as the others of "
                         "question-answer have."]  # fmt: skip
    assert len(done.good) == 4
