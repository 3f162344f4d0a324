"""The rules of a conversation, each broken once."""

from __future__ import annotations

import pytest

from phichat.data.options import ModelFiles
from phichat.data.validate import SpecialTokens
from tests.data.conftest import Work, chat

MODEL = ModelFiles(name="phi", special_tokens=("<|end|>", "<|user|>", "</s>"))


def turns(*pairs: tuple[str, str]) -> dict[str, list[dict[str, str]]]:
    """A row of any roles."""
    return {"messages": [{"role": role, "content": text} for role, text in pairs]}


@pytest.mark.parametrize(
    ("row", "kind", "field", "told"),
    [
        ('{"messages": [', "json", "", "it ends too early"),
        ('{"messages" 1}', "json", "", "expected ':' at byte 12"),
        ("7", "json", "", "an object with named fields"),
        ({"messages": []}, "empty", "messages", "there are no messages"),
        ({"messages": "hello"}, "field", "messages", "a list of messages"),
        ({"messages": [{"role": "user"}]}, "empty", "messages[0].content", "the text is missing"),
        (turns(("user", "a"), ("assistant", 7)), "field", "messages[1].content", "not a number"),  # type: ignore[arg-type]
        (turns(("user", "a"), ("assistant", "\n \t")), "empty", "messages[1].content", "the text is empty"),
        (turns(("user", "a")), "no_answer", "", "no answer of the assistant"),
        (turns(("user", "a"), ("assistant", "b"), ("user", "c")), "order", "messages[2].role", "nothing is"),
        (
            turns(("user", "a"), ("user", "b"), ("assistant", "c")),
            "order",
            "messages[1].role",
            "assistant is",
        ),
        (turns(("user", "a"), ("system", "b"), ("assistant", "c")), "order", "messages[1].role", "after the"),
        (turns(("system", ""), ("user", "b"), ("assistant", "c")), "empty", "messages[0].content", "empty"),
        (turns(("narrator", "a"), ("assistant", "b")), "role", "messages[0].role", "'narrator' is no"),
        (
            turns(("user", "a"), ("assistant", "b<|end|>")),
            "special_token",
            "messages[1].content",
            "'<|end|>'",
        ),
    ],
)
def test_each_fault_is_one_sentence(
    prepared: Work, row: str | dict[str, object], kind: str, field: str, told: str
) -> None:
    done = prepared([chat("good", "row"), chat("second", "row"), row], model=MODEL)
    first = done.problems[0]
    assert (first.line, first.kind, first.field) == (3, kind, field)
    assert told in first.message
    assert first.message.endswith(".")
    assert done.manifest.counts.bad == 1


def test_all_faults_of_a_row_are_told(prepared: Work) -> None:
    row = turns(("user", ""), ("user", "b</s>"), ("assistant", " "))
    done = prepared([chat("good", "row"), chat("second", "row"), row], model=MODEL)
    assert [each.kind for each in done.problems] == ["empty", "order", "special_token", "empty"]
    assert done.manifest.counts.problems == {"empty": 2, "order": 1, "special_token": 1}


def test_an_answer_of_weight_0_alone_teaches_nothing(prepared: Work) -> None:
    row = chat("a", "b")
    row["messages"][1]["weight"] = 0
    assert [each.kind for each in prepared([chat("c", "d"), chat("e", "f"), row]).problems] == ["no_answer"]


def test_text_in_angle_brackets_is_no_special_token() -> None:
    special = SpecialTokens(["<|end|>", "<s>"])
    assert special.find("a < b, <b>bold</b>, <|other|>") is None
    assert special.find("one <s> two") == "<s>"


def test_of_two_tokens_the_longer_is_named() -> None:
    assert SpecialTokens(["<|im", "<|im_end|>"]).find("a<|im_end|>") == "<|im_end|>"


def test_what_could_not_be_checked_is_named(prepared: Work) -> None:
    nobody = prepared([chat("a", "b")]).manifest.not_done
    assert nobody == ("special tokens: no base model was named", "token counts: no base model was named")
    absent = prepared([chat("a", "b")], model=MODEL).manifest.not_done
    assert [told.partition(":")[0] for told in absent] == ["special tokens", "token counts"]
    assert all("phichat models pull phi" in told for told in absent)
