"""What people type to find something, and how what was found is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phichat.history.search import SNIPPET_LENGTH, Query, Term, fold, parse


@pytest.mark.parametrize(
    ("typed", "terms"),
    [
        ("", []),
        ("  ", []),
        ("quokka", [Term("quokka", prefix=True)]),
        ("quokka ", [Term("quokka")]),
        ("the quokka", [Term("the"), Term("quokka", prefix=True)]),
        ("quo* island", [Term("quo", prefix=True), Term("island", prefix=True)]),
        ("q", [Term("q")]),
        ("C++", [Term("C++")]),
        ('"the quokka" smiles ', [Term("the quokka"), Term("smiles")]),
        ('"the quo', [Term("the quo", prefix=True)]),
        ('"the quo"*', [Term("the quo", prefix=True)]),
        ('""', []),
        ('say"hello"', [Term("say"), Term("hello")]),
        ("*", [Term("*")]),
        ("a\0b", [Term("a"), Term("b")]),
    ],
)
def test_what_is_typed_becomes_terms(typed: str, terms: list[Term]) -> None:
    assert parse(typed) == Query(tuple(terms))


@pytest.mark.parametrize(
    ("typed", "indexed"),
    [("quokka", True), ("naïve", True), ("你好", False), ("🎉", False), ("quokka 🎉", False), ("การ", False)],
)
def test_only_words_between_spaces_are_in_the_index(typed: str, indexed: bool) -> None:
    assert parse(typed).indexed is indexed


def test_terms_are_quoted_for_each_language() -> None:
    assert parse('50% "a_b" c"d').fts() == '"50%" AND "a_b" AND "c" AND "d"'
    assert parse("quokka").fts() == '"quokka" *'
    assert parse("50%_\\ x").like() == ["%50\\%\\_\\\\%", "%x%"]


@given(st.text())
def test_folding_keeps_every_position(text: str) -> None:
    assert len(fold(text)) == len(text)


@given(st.text(max_size=300), st.text(max_size=20))
def test_a_snippet_is_one_line_with_its_marks_inside(text: str, typed: str) -> None:
    snippet = parse(typed).snippet(text)
    assert not set(snippet.text) & set("\n\r\t")
    end = 0
    for first, last in snippet.marks:
        assert end <= first < last <= len(snippet.text)
        end = last


def marked(typed: str, text: str) -> list[str]:
    """What a search marks in a text."""
    snippet = parse(typed).snippet(text)
    return [snippet.text[first:last] for first, last in snippet.marks]


@pytest.mark.parametrize(
    ("typed", "text", "marks"),
    [
        ("naive", "A Naïve idea, naïvely", ["Naïve", "naïvely"]),
        ("naive ", "A Naïve idea, naïvely", ["Naïve"]),
        ('"one two"', "one, two; two one", ["one, two"]),
        ("one two ", "two or one", ["two", "one"]),
        ("cat", "concat scatter cats", ["cats"]),
        ("世界", "你好，世界", ["世界"]),
        ("%", "100%", ["%"]),
        ("quokka", "nothing of it", []),
    ],
)
def test_matches_are_marked(typed: str, text: str, marks: list[str]) -> None:
    assert marked(typed, text) == marks


def test_a_snippet_is_about_its_first_match() -> None:
    text = f"{'a ' * 500}quokka{' b' * 500}"
    snippet = parse("quokka").snippet(text)
    assert snippet.text.startswith("…a ") and snippet.text.endswith("…")
    assert len(snippet.text) <= SNIPPET_LENGTH + 2
    assert parse("quokka").snippet("the quokka").text == "the quokka"


def test_a_match_longer_than_a_snippet_is_shown_whole() -> None:
    word = "q" * 300
    snippet = parse(word).snippet(f"{'a ' * 50}{word} after")
    assert [snippet.text[first:last] for first, last in snippet.marks] == [word]
