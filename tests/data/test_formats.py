"""Every format that people bring, with good rows and bad ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from phichat.data.formats import FORMATS
from phichat.errors import ConfigError, DataError
from tests.data.conftest import FIXTURES, Work, chat, write

Turns = list[tuple[str, str]]


def one(question: str, answer: str, system: str = "") -> Turns:
    """A conversation of one exchange."""
    turns = [("user", question), ("assistant", answer)]
    return [("system", system), *turns] if system else turns


def test_openai_messages(prepared: Work) -> None:
    done = prepared(FIXTURES / "openai.jsonl", test_size=0)
    assert done.manifest.parts[0].format == "messages"
    assert done.rows("train")[1]["messages"][1] == {"role": "assistant", "content": "Sure!", "weight": 0}
    assert one("How many books may I borrow?", "Ten at a time.", "Be brief.") in done.good
    assert [(each.line, each.kind, each.field) for each in done.problems] == [
        (4, "tools", "messages[1].tool_calls"),
        (4, "tools", "messages[2].role"),
        (5, "field", "messages[0].content"),
        (6, "field", "messages[1].weight"),
    ]
    assert "drop them without a word" in done.told[0]
    assert done.manifest.ignored == {"messages[].name": 1, "metadata": 1}


def test_sharegpt_as_an_array(prepared: Work) -> None:
    done = prepared(FIXTURES / "sharegpt.json")
    part = done.manifest.parts[0]
    assert (part.kind, part.format, part.unit) == ("JSON array", "sharegpt", "row")
    assert one("What goes into pesto?", "Basil, pine nuts, oil, cheese, salt.") in done.good
    assert one("Salt first?", "Last.") in done.good
    assert ("system", "You are a patient cook.") in done.good[0]
    assert done.told == [
        "sharegpt.json, row 3, conversations[0].from: a turn of the assistant cannot stand at the start: "
        "system or user is expected.",
        "sharegpt.json, row 4, conversations[1].from: tool calls cannot be trained: the templates of the "
        "Phi-3 models drop them without a word.",
        "sharegpt.json, row 4, conversations[2].from: tool calls cannot be trained: the templates of the "
        "Phi-3 models drop them without a word.",
        "sharegpt.json, row 5, conversations[1].from: a turn of the user cannot stand after the user's: "
        "assistant is expected.",
    ]
    assert done.manifest.ignored == {"id": 3}


def test_alpaca(prepared: Work) -> None:
    done = prepared(FIXTURES / "alpaca.json")
    assert done.manifest.parts[0].format == "alpaca"
    assert one("Translate into French.\nGood morning", "Bonjour", "You are a translator.") in done.good
    earlier = one("Which planet is third?", "The Earth is the third.")
    assert [*earlier, *one("And the second one?", "Mars is the fourth.")] in done.good
    assert [(each.line, each.kind, each.field) for each in done.problems] == [
        (4, "empty", "output"),
        (5, "format", ""),
        (6, "field", "instruction"),
    ]


def test_dolly(prepared: Work) -> None:
    done = prepared(FIXTURES / "dolly.jsonl")
    asked = "When did the ferry service start?\nThe ferry service of the island started in 1931."
    assert one(asked, "In 1931.") in done.good
    assert [(each.kind, each.field) for each in done.problems] == [("empty", "instruction")]
    assert done.manifest.ignored == {"category": 2}


def test_prompt_and_completion(prepared: Work) -> None:
    done = prepared(FIXTURES / "prompt_completion.jsonl")
    assert done.good == sorted(
        [
            one("The capital of Peru is", "Lima."),
            one("I lost my keys.", "Oh no! Where did you see them last?", "Be kind."),
            one("Two plus two?", "Four."),
        ]
    )
    assert [(each.line, each.kind, each.field) for each in done.problems] == [
        (4, "empty", "completion"),
        (5, "order", "completion[0]"),
        (5, "no_answer", ""),
    ]


def test_questions_and_answers(prepared: Work) -> None:
    done = prepared(FIXTURES / "question_answer.jsonl")
    assert done.manifest.parts[0].format == "question-answer"
    assert len(done.good) == 2
    assert [(each.line, each.kind, each.field) for each in done.problems] == [
        (3, "empty", "answer"),
        (4, "format", ""),
    ]
    assert done.manifest.ignored == {"source": 1}


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (("Question", "Answer", "SYSTEM"), "question-answer"),
        (("Prompt", "completion", "System"), "prompt-completion"),
        (("INSTRUCTION", "Output", "system"), "alpaca"),
    ],
)
def test_columns_are_known_in_capitals_too(prepared: Work, names: tuple[str, str, str], form: str) -> None:
    asked, said, system = names
    done = prepared([{asked: "Cold?", said: "No.", system: "Be brief."}, {asked: " ", said: "No."}])
    assert done.manifest.parts[0].format == form
    assert f"'{asked}' and '{said}'" in done.manifest.parts[0].evidence
    assert done.good == [one("Cold?", "No.", "Be brief.")]
    assert [each.field for each in done.problems] == [asked]


def test_capitals_decide_nothing_where_a_column_stands_in_both(prepared: Work) -> None:
    row = {"question": "Cold?", "Question": "12", "Answer": "No."}
    assert prepared([row]).good == [one("Cold?", "No.")]
    with pytest.raises(DataError, match="no format that is known"):
        prepared([{"QUESTION": "Cold?", "Question": "12", "Answer": "No."}])


def test_a_named_format_knows_capitals_too(prepared: Work) -> None:
    row = {"Question": "Cold?", "Answer": "No.", "Chosen": "1"}
    assert prepared([row], format="question-answer").good == [one("Cold?", "No.")]
    assert prepared([row], columns={"user": "question", "assistant": "answer"}).good == [one("Cold?", "No.")]


def test_csv_with_semicolons_and_line_ends_inside(prepared: Work) -> None:
    done = prepared(FIXTURES / "support.csv")
    assert done.manifest.parts[0].kind == "CSV with ';'"
    assert one("How do I reset my password?", 'Press "Forgot" on the first page.') in done.good
    assert one("Where is my invoice?", "Under Orders.\nIt is a PDF.", "Be formal.") in done.good
    assert [(each.line, each.kind, each.field) for each in done.problems] == [
        (6, "empty", "answer"),
        (7, "format", ""),
    ]
    assert done.rows("bad")[1]["row"] == "One column too many?;Yes.;;!"


def test_tsv_with_columns_that_a_person_names(prepared: Work) -> None:
    columns = {"user": "frage", "assistant": "antwort", "system": "ton"}
    done = prepared(FIXTURES / "faq.tsv", columns=columns)
    part = done.manifest.parts[0]
    assert (part.kind, part.format, part.evidence) == ("TSV", "map", "named with --map")
    assert one("Wann öffnet das Museum?", "Um neun Uhr.", "Höflich, bitte.") in done.good
    assert [(each.line, each.field) for each in done.problems] == [(4, "frage")]


def test_map_reads_any_flat_record(prepared: Work) -> None:
    rows = [{"q": f"q{number}", "a": "yes", "system": "never asked for"} for number in range(3)]
    done = prepared(rows, columns={"user": "q", "assistant": "a"})
    assert done.good == [one(f"q{number}", "yes") for number in range(3)]
    assert done.manifest.ignored == {"system": 3}


def test_map_needs_both_sides(prepared: Work) -> None:
    with pytest.raises(ConfigError, match="both user and assistant"):
        prepared([chat("a", "b")], columns={"user": "q"})


def test_parquet(prepared: Work, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    rows: list[dict[str, Any]] = [chat(f"q{n}", f"a{n}") for n in range(600)]
    rows[3]["messages"][0]["content"] = None
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    done = prepared(tmp_path / "rows.parquet")
    assert (done.manifest.parts[0].kind, done.manifest.parts[0].unit) == ("Parquet", "row")
    assert len(done.good) == 599
    assert done.told == ["rows.parquet, row 4, messages[0].content: the text is missing."]


@pytest.mark.parametrize("name", [known.name for known in FORMATS])
def test_a_format_can_be_decided(prepared: Work, name: str) -> None:
    rows = [{"messages": chat("a", "b")["messages"], "question": "c", "answer": "d"}]
    if name in ("messages", "question-answer"):
        expected = one("a", "b") if name == "messages" else one("c", "d")
        assert prepared(rows, format=name).good == [expected]
    else:
        with pytest.raises(DataError, match="No row of"):
            prepared(rows, format=name)


def test_ambiguous_rows_are_refused_with_the_flag_that_decides(prepared: Work) -> None:
    with pytest.raises(DataError) as caught:
        prepared([{"messages": chat("a", "b")["messages"], "question": "c", "answer": "d"}])
    assert "messages ('messages') and question-answer ('question' and 'answer')" in caught.value.message
    assert caught.value.hint == "Decide with --format messages or --format question-answer"


def test_no_majority_is_no_format(prepared: Work) -> None:
    with pytest.raises(DataError, match=r"no single format: messages \(1\) and question-answer \(1\)"):
        prepared([chat("a", "b"), {"question": "c", "answer": "d"}])


@pytest.mark.parametrize(
    ("row", "reason", "hint"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference pairs", "assistant=chosen"),
        ({"text": "<|user|>\na<|end|>"}, "finished texts", "as messages"),
        ({"frage": "a", "antwort": "b"}, "their fields are: frage, antwort", "--map user="),
    ],
)
def test_unknown_rows_are_refused_with_a_reason(
    prepared: Work, row: dict[str, str], reason: str, hint: str
) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        prepared([row] * 3)
    assert hint in caught.value.hint


def test_fields_that_are_not_utf_8_are_named_all_the_same(prepared: Work, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_bytes('[{"größe": "a", "b": "c"}]'.encode("latin-1"))
    with pytest.raises(DataError, match="their fields are: gr??e, b".replace("?", "[?]")):
        prepared(file)


def test_a_column_that_nobody_has_is_told_once(prepared: Work) -> None:
    with pytest.raises(DataError, match=r"No row of .* has 'frage' and 'b'; its fields are: a, b"):
        prepared([{"a": "c", "b": "d"}] * 3, columns={"user": "frage", "assistant": "b"})


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("wrapped", [True, False])
def test_one_object_may_hold_the_rows(
    prepared: Work, tmp_path: Path, indent: int | None, wrapped: bool
) -> None:
    value = {"version": 1, "data": [chat("a", "b"), chat("c", "d")]} if wrapped else chat("a", "b")
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(value, indent=indent), encoding="utf-8")
    assert prepared(file).good == ([one("a", "b"), one("c", "d")] if wrapped else [one("a", "b")])


def test_what_has_no_rows_is_not_a_bad_row(prepared: Work, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("question,answer\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.csv has no rows"):
        prepared(tmp_path / "rows.csv")


def test_every_later_row_has_to_agree(prepared: Work) -> None:
    rows = [chat(f"q{n}", "a") for n in range(150)] + [{"question": "c", "answer": "d"}]
    done = prepared(rows)
    assert [(each.line, each.kind) for each in done.problems] == [(151, "format")]


def test_an_unknown_format_is_a_wrong_flag(prepared: Work) -> None:
    with pytest.raises(ConfigError, match="no format 'openai'") as caught:
        prepared([chat("a", "b")], format="openai")
    assert "messages, sharegpt, alpaca" in caught.value.hint


@pytest.mark.parametrize("zipped", [False, True])
def test_byte_order_mark_and_gzip(prepared: Work, tmp_path: Path, zipped: bool) -> None:
    text = b"\xef\xbb\xbf" + json.dumps(chat("Où?", "Là.")).encode() + b"\n\n"
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(text) if zipped else text)
    done = prepared(path)
    assert done.good == [one("Où?", "Là.")]
    assert done.manifest.parts[0].kind == ("JSON lines, gzipped" if zipped else "JSON lines")


def test_bytes_that_are_not_utf8(prepared: Work) -> None:
    done = prepared(FIXTURES / "latin1.jsonl")
    assert [(each.line, each.kind) for each in done.problems] == [(2, "encoding")]
    assert "save it as UTF-8" in done.told[0]


def test_half_a_character_in_a_table_or_an_array(prepared: Work, tmp_path: Path) -> None:
    table, array = tmp_path / "rows.csv", tmp_path / "rows.json"
    table.write_bytes(b"question,answer\na,b\nc,\xe9\n")
    array.write_text('[{"question": "a", "answer": "b"}, {"question": "c", "answer": "\\ud83d"}]')
    for path in (table, array):
        done = prepared(path)
        assert [each.kind for each in done.problems] == ["encoding"]
        assert len(done.good) == 1
        assert done.rows("bad")[0]["row"]["question"] == "c"


def test_roles_that_are_no_text(prepared: Work) -> None:
    rows = [chat("a", "b"), {"messages": [{"role": ["user"], "content": "a"}, "b", {"content": "c"}]}]
    done = prepared([rows[0], rows[0], rows[1]])
    assert [(each.kind, each.field) for each in done.problems] == [
        ("role", "messages[0].role"),
        ("field", "messages[1]"),
        ("field", "messages[2].role"),
    ]


def test_the_tools_of_a_row_are_refused(prepared: Work, tmp_path: Path) -> None:
    row = {**chat("a", "b"), "tools": [{"type": "function"}]}
    done = prepared(write(tmp_path / "rows.jsonl", [row, chat("c", "d")]))
    assert [(each.kind, each.field) for each in done.problems] == [("tools", "tools")]
