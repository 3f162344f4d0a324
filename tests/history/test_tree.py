"""The ways through a conversation's tree, and two copies of one conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phichat.backends.base import Message
from phichat.errors import NotFoundError
from phichat.history import Conversation, StoredMessage, Transcript
from phichat.history.tree import merge
from phichat.history.values import MessageState, Role


def message(name: str, parent: str | None = None, role: Role = "user", content: str = "") -> StoredMessage:
    """A message called `name`, later than those with a smaller name."""
    return StoredMessage(
        id=name,
        conversation_id="c",
        parent_id=parent,
        role=role,
        content=content or name,
        created=float(ord(name[0])),
    )


def tree(*messages: StoredMessage, leaf: str | None = None, system: str = "") -> Transcript:
    """A conversation of these messages."""
    conversation = Conversation(id="c", created=0, leaf=leaf, system=system)
    return Transcript(conversation, messages)


FORKED = tree(
    message("a"),
    message("b", "a", "assistant"),
    message("c", "a", "assistant"),
    message("d", "b"),
    message("e", "c"),
    message("f", "b"),
    message("g"),
    leaf="e",
)


def names(messages: Sequence[StoredMessage]) -> str:
    """Their ids, one after the other."""
    return "".join(each.id for each in messages)


def test_a_branch_goes_from_the_first_message_to_its_leaf() -> None:
    assert names(FORKED.branch()) == "ace"
    assert names(FORKED.branch("f")) == "abf"
    assert tree().branch() == []


def test_versions_have_the_same_parent() -> None:
    assert names(FORKED.versions("c")) == "bc"
    assert names(FORKED.versions("a")) == "ag"
    assert names(FORKED.versions("e")) == "e"


def test_a_branch_goes_on_by_the_newest_messages() -> None:
    assert FORKED.leaf_through("a") == "e"
    assert FORKED.leaf_through("b") == "f"
    assert FORKED.leaf_through("d") == "d"


def test_a_message_that_is_not_there_is_told() -> None:
    for look in (FORKED.message, FORKED.versions, FORKED.leaf_through, FORKED.branch):
        with pytest.raises(NotFoundError, match="has no message 'z'"):
            look("z")


def test_a_model_is_shown_the_branch_without_answers_that_have_no_text() -> None:
    silent = message("b", "a", "assistant").model_copy(update={"content": "", "state": "failed"})
    shown = tree(message("a"), silent, message("c", "b"), leaf="c", system="Be brief.").prompt()
    assert shown == [
        Message(role="system", content="Be brief."),
        Message(role="user", content="a"),
        Message(role="user", content="c"),
    ]


def test_a_message_is_added_to_the_branch_or_replaced_where_it_is() -> None:
    added = FORKED.having(message("h", "e", "assistant"))
    assert names(added.branch()) == "aceh"
    changed = added.having(message("b", "a", "assistant", "changed"))
    assert names(changed.branch()) == "aceh"
    assert changed.message("b").content == "changed"
    assert FORKED.message("b").content == "b"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (tree(message("a"), message("a")), "one id"),
        (tree(message("a", "z")), "not in it"),
        (tree(message("a"), leaf="z"), "not in it"),
        (tree(message("a", "b"), message("b", "a")), "circle"),
        (tree(message("a").model_copy(update={"conversation_id": "other"})), "another conversation"),
    ],
)
def test_what_cannot_be_a_tree_is_told(wrong: Transcript, why: str) -> None:
    FORKED.check()
    tree().check()
    with pytest.raises(ValueError, match=why):
        wrong.check()


# Merging

moments = st.integers(0, 3).map(float)


@st.composite
def copies(draw: st.DrawFn) -> Transcript:
    """A copy of the conversation `c` in any state that a store can bring about."""
    ids = draw(st.sets(st.sampled_from("abcd"), min_size=1))
    messages = [
        message(name).model_copy(
            update={
                "state": draw(st.sampled_from(get_args(MessageState))),
                "content": draw(st.sampled_from(["", "x", "xy", "z"])),
            }
        )
        for name in sorted(ids)
    ]
    updated = draw(moments)
    deleted = draw(st.none() | moments.filter(lambda moment: moment >= updated))
    conversation = Conversation(
        id="c",
        title=draw(st.sampled_from("AB")),
        created=0,
        updated=updated,
        revised=draw(moments),
        leaf=draw(st.sampled_from(sorted(ids))),
        deleted=deleted,
    )
    return Transcript(conversation, tuple(messages))


@given(copies(), copies(), copies())
def test_copies_end_alike_in_whatever_order_they_meet(a: Transcript, b: Transcript, c: Transcript) -> None:
    assert merge(a, b) == merge(b, a)
    assert merge(a, a) == a
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(merge(a, b), b) == merge(a, b)


@given(copies(), copies())
def test_no_message_is_lost_and_no_finished_answer_is_undone(a: Transcript, b: Transcript) -> None:
    both = merge(a, b)
    both.check()
    assert {each.id for each in both.messages} == {each.id for each in (*a.messages, *b.messages)}
    for each in (*a.messages, *b.messages):
        merged = both.message(each.id)
        assert merged.state != "partial" or each.state == "partial"
        assert len(merged.content) >= len(each.content) or merged.state != each.state
    assert both.conversation.updated == max(a.conversation.updated, b.conversation.updated)


def copy(**known: object) -> Transcript:
    """A copy of the conversation of which this is known."""
    conversation = Conversation(id="c", created=0, leaf="a")
    return Transcript(conversation.model_copy(update=known), (message("a"),))


def test_the_later_decision_holds() -> None:
    renamed, deleted = copy(title="New", revised=5.0), copy(title="Old", revised=6.0, deleted=6.0)
    assert merge(renamed, deleted).conversation.deleted == 6.0
    assert merge(renamed, deleted).conversation.title == "Old"


def test_what_was_said_after_a_deletion_brings_the_conversation_back() -> None:
    deleted, active = copy(revised=6.0, deleted=6.0), copy(updated=7.0)
    assert merge(deleted, active).conversation.deleted is None
