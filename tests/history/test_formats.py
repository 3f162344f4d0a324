"""Conversations out of a store, and back into another one."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phichat.backends.base import ChatOptions, Usage
from phichat.errors import DataError, HistoryError, NotFoundError
from phichat.history import Conversation, HistoryStore, StoredMessage, Transcript
from phichat.history.exports import export, render
from phichat.history.formats import RENDER, Format
from phichat.history.imports import import_file, read
from phichat.history.sqlite import SqliteStore
from phichat.history.values import Merged, MessageState, Role
from tests.history.store_suite import closing

Turn = tuple[Role, str] | tuple[Role, str, MessageState]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[HistoryStore]:
    """An empty store."""
    async with closing(SqliteStore(tmp_path / "store" / "conversations.db")) as store:
        yield store


def talk(*turns: Turn, **facts: Any) -> Transcript:
    """A conversation of one branch."""
    conversation = Conversation(**facts)
    messages: list[StoredMessage] = []
    for role, content, *state in turns:
        messages.append(
            StoredMessage(
                conversation_id=conversation.id,
                parent_id=messages[-1].id if messages else None,
                role=role,
                content=content,
                state=state[0] if state else "complete",
                model="phi" if role == "assistant" else "",
            )
        )
    leaf = messages[-1].id if messages else None
    return Transcript(conversation.model_copy(update={"leaf": leaf}), tuple(messages))


def forked() -> Transcript:
    """A conversation with everything that a message can have, and two answers to one question."""
    base = talk(
        ("user", "Who founded\r\nMicrosoft?\n\n"),
        ("assistant", "Allen\u2028", "stopped"),
        title="Microsoft “founders” -->",
        project="/home/me/p",
        system="Be\nbrief.",
    )
    question, stopped = base.messages
    whole = StoredMessage(
        conversation_id=base.conversation.id,
        parent_id=question.id,
        role="assistant",
        content="Gates and Allen \U0001f389\0",
        backend="local",
        deployment="base",
        model="phi",
        template_hash="abc",
        options=ChatOptions(seed=7, stop=("x",)),
        usage=Usage(prompt_tokens=1, completion_tokens=2, finish_reason="stop", context=2048),
        ttft_s=0.1 + 0.2,
        tokens_per_s=1e-9,
    )
    return base.having(stopped).having(whole)


async def everything(store: HistoryStore) -> dict[str, Transcript]:
    """All conversations by their ids."""
    return {each.id: await store.read(each.id) async for each in store.conversations()}


async def ids(store: HistoryStore) -> AsyncIterator[str]:
    """The ids of all conversations."""
    async for conversation in store.conversations():
        yield conversation.id


def written(folder: Path, transcripts: list[Transcript], form: Format, name: str = "file") -> Path:
    """A file of these conversations."""
    path = folder / f"{name}.{'md' if form == 'markdown' else 'jsonl'}"
    path.write_text("".join(map(RENDER[form], transcripts)), encoding="utf-8", newline="")
    return path


def shown(transcript: Transcript) -> list[tuple[str, str]]:
    """The roles and texts of the branch that is shown, the system prompt first."""
    return [(turn.role, turn.content) for turn in transcript.prompt()]


# JSONL: everything


async def test_what_is_imported_is_exported_again_byte_for_byte(store: HistoryStore, tmp_path: Path) -> None:
    whole = [forked(), talk(title="Empty"), talk(("user", "Hi"), project="/p")]
    await store.merge(whole)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert await export(store, ids(store), first, "jsonl") == 3
    async with closing(SqliteStore(tmp_path / "other.db")) as other:
        assert await import_file(other, first) == Merged(3, 0, 0)
        assert await everything(other) == {each.conversation.id: each for each in whole}
        assert await export(other, ids(other), second, "jsonl") == 3
        assert second.read_bytes() == first.read_bytes()
        assert await import_file(other, first) == Merged(0, 0, 3)
    assert len(first.read_text(encoding="utf-8").split("\n")) == 4


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["<!-- phichat:message {} -->\n", "\\<!-- phichat:x", "## User\n\n", "\n\n", "-->", "\r", "---"]
)
turns = st.lists(
    st.tuples(st.sampled_from(["user", "assistant"]), texts, st.sampled_from(["complete", "stopped"])),
    min_size=1,
    max_size=4,
)


@given(turns, texts, texts)
def test_any_text_survives_jsonl_and_markdown(
    tmp_path_factory: pytest.TempPathFactory, said: list[Any], title: str, system: str
) -> None:
    folder = tmp_path_factory.mktemp("formats")
    both = [talk(*said, title=title, system=system), forked()]
    assert list(read(written(folder, both, "jsonl"))) == both
    for before, after in zip(both, read(written(folder, both, "markdown")), strict=True):
        assert shown(after) == shown(before)
        assert after.conversation.created == before.conversation.created
        assert after.conversation.title == before.conversation.title or not before.conversation.title
        for old, new in zip(before.branch(), after.branch(), strict=True):
            assert (new.content, new.state, new.model) == (old.content, old.state, old.model)


# Markdown: one conversation to read


def test_markdown_is_pleasant_to_read() -> None:
    text = RENDER["markdown"](forked())
    visible = [line for line in text.split("\n") if line and not line.startswith("<!--")]
    assert visible[0] == "# Microsoft “founders” -->"
    assert visible[1].endswith(" UTC in /home/me/p_")
    headings = [line for line in visible if line.startswith("## ")]
    assert headings == ["## System", "## User", "## Assistant · phi · version 2 of 2"]
    assert "## Assistant · phi · stopped" in RENDER["markdown"](talk(("assistant", "x", "stopped")))


# ShareGPT and OpenAI: to train with


def test_training_formats_have_the_branch_that_is_shown() -> None:
    (openai,) = map(json.loads, RENDER["openai"](forked()).splitlines())
    assert openai == {
        "messages": [
            {"role": "system", "content": "Be\nbrief."},
            {"role": "user", "content": "Who founded\r\nMicrosoft?\n\n"},
            {"role": "assistant", "content": "Gates and Allen \U0001f389\0"},
        ]
    }
    whole = forked()
    (sharegpt,) = map(json.loads, RENDER["sharegpt"](whole).split("\n")[:-1])
    assert sharegpt["id"] == whole.conversation.id
    assert [(turn["from"], turn["value"]) for turn in sharegpt["conversations"]] == [
        ({"user": "human", "assistant": "gpt"}.get(turn["role"], turn["role"]), turn["content"])
        for turn in openai["messages"]
    ]


@pytest.mark.parametrize("form", ["openai", "sharegpt"])
def test_only_whole_answers_are_trained_on(form: Format) -> None:
    made = talk(
        ("user", "one"),
        ("assistant", "1", "stopped"),
        ("user", "two"),
        ("assistant", "2"),
        ("user", "three"),
        ("assistant", "", "failed"),
        ("user", "four"),
        ("user", "and five"),
        ("assistant", "4 5"),
        ("user", "unanswered"),
    )
    text = RENDER[form](made)
    texts = [turn.get("content", turn.get("value")) for turn in list(json.loads(text).values())[-1]]
    assert texts == ["two", "2", "four", "and five", "4 5"]
    assert RENDER[form](talk(("user", "one"), system="Be brief.")) == ""


@pytest.mark.parametrize("form", ["openai", "sharegpt", "markdown"])
async def test_each_format_is_read_back_and_adds_nothing_twice(
    store: HistoryStore, tmp_path: Path, form: Format
) -> None:
    made = talk(("user", "Who?"), ("assistant", "Gates"), title="Founders", system="Be brief.")
    path = written(tmp_path, [made, made], form)
    assert await import_file(store, path, project="/p") == Merged(2, 0, 0)
    assert await import_file(store, path, project="/p") == Merged(0, 0, 2)
    for each in (await everything(store)).values():
        assert shown(each) == shown(made)
        assert each.conversation.project == "/p"
        assert each.conversation.title == ("Founders" if form == "markdown" else "Who?")
        each.check()
    assert await store.search("Gates", project="/p")
    again = tmp_path / f"again{path.suffix}"
    assert await export(store, ids(store), again, form) == 2
    if form == "openai":
        assert again.read_bytes() == path.read_bytes()


async def test_markdown_beside_its_originals_adds_nothing_until_it_is_edited(
    store: HistoryStore, tmp_path: Path
) -> None:
    made = [forked(), talk(("user", "Who?"), ("assistant", "Gates"), title="Founders")]
    await store.merge(made)
    path = written(tmp_path, made, "markdown")
    before = await everything(store)
    assert await import_file(store, path, project="/p") == Merged(0, 0, 2)
    assert await everything(store) == before
    grown = await store.read(made[1].conversation.id)
    more = StoredMessage(
        conversation_id=grown.conversation.id, parent_id=grown.conversation.leaf, role="user", content="When?"
    )
    await store.merge([grown.having(more)])
    assert await import_file(store, path) == Merged(0, 0, 2), "what was said since is no other conversation"
    path.write_bytes(path.read_bytes().replace(b"Gates\n", b"Allen\n"))
    assert await import_file(store, path) == Merged(1, 0, 1)
    await store.delete(made[0].conversation.id)
    assert await import_file(store, path) == Merged(1, 0, 1), "what is in the bin comes back"


async def test_what_was_decided_here_survives_another_import(store: HistoryStore, tmp_path: Path) -> None:
    path = written(tmp_path, [talk(("user", "Who?"), ("assistant", "Gates"))], "openai")
    await import_file(store, path)
    ((identity, _),) = (await everything(store)).items()
    await store.rename(identity, "My title")
    os.utime(path, (2e9, 2e9))  # downloaded again, later
    assert (await import_file(store, path)).added == 0
    assert (await store.get(identity)).title == "My title"


def test_what_others_write_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    path.write_text(
        json.dumps(
            [
                {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "id": 7},
                {
                    "messages": [
                        {"role": "developer", "content": "s"},
                        {"role": "user", "content": [{"type": "text", "text": "a"}]},
                        {"role": "assistant", "content": "b", "name": "x"},
                    ],
                    "created": "2026-11-23",
                },
            ],
            indent=2,
        ),
        encoding="utf-8-sig",
    )
    one, other = read(path)
    assert shown(one) == [("user", "a"), ("assistant", "b")]
    assert shown(other) == [("system", "s"), ("user", "a"), ("assistant", "b")]
    single = tmp_path / "one.json"
    single.write_text('{\n"messages": [{"role": "user", "content": "a"}]\n}')
    assert [shown(each) for each in read(single)] == [[("user", "a")]]


# What is wrong with a file

GOOD = '{"messages": [{"role": "user", "content": "a"}]}'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", r"line 2: it is not JSON"),
        ("[1]", r"line 2: it is not an object"),
        ("{}", r'line 2: it has neither "messages" nor "conversations"'),
        ('{"messages": []}', r"line 2: it has no messages"),
        ('{"messages": [1]}', r"line 2: a message is not an object"),
        ('{"messages": [{"role": "tool", "content": "a"}]}', r"line 2: the role 'tool' is none of"),
        ('{"messages": [{"role": ["x"], "content": "a"}]}', r"line 2: the role \['x'\] is none of"),
        (
            '{"messages": [{"role": "user", "content": null}]}',
            r"line 2: a message has something that is no text",
        ),
        ('{"messages": [{"role": "user", "content": [{"type": "image"}]}]}', r"line 2: .* no text"),
        ('{"messages": [{"role": "user", "content": "a", "state": "odd"}]}', r"line 2: state: Input should"),
        ('{"phichat": 2}', r"line 2: a newer phichat wrote it"),
        ('{"phichat": 1, "messages": []}', r"line 2: conversation: Field required"),
        ('{"phichat": 1, "conversation": {"id": "c", "leaf": "z"}, "messages": []}', r"line 2: a message"),
        ("[" * 100_000, r"line 2: "),
    ],
)
async def test_a_bad_line_is_named_and_nothing_is_imported(
    store: HistoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.setattr("phichat.history.imports.BATCH", 1)
    path = tmp_path / "chats.jsonl"
    path.write_text(f"{GOOD}\n{text}\n{GOOD}\n")
    with pytest.raises(DataError, match=told) as error:
        await import_file(store, path)
    assert str(path) in error.value.message and error.value.hint
    assert not await everything(store)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.jsonl", None, "cannot be read: No such file"),
        ("binary.jsonl", b"\xff\xfe", "is not UTF-8 text"),
        ("notes.md", b"# Notes\n", "it is no Markdown that phichat wrote"),
        ("broken.md", b"<!-- phichat:conversation {'} -->\n", "it is not JSON"),
        ("broken.json", b"[", "it is not JSON"),
    ],
)
async def test_a_file_that_cannot_be_read_is_told(
    store: HistoryStore, tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        await import_file(store, path)


@pytest.mark.parametrize(("name", "content"), [("empty.json", "[]"), ("empty.jsonl", "\n")])
async def test_a_file_that_holds_none_is_probably_the_wrong_one(
    store: HistoryStore, tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=f"{name} holds no conversation"):
        await import_file(store, tmp_path / name)


# Files


async def test_many_conversations_pass_through_a_file(
    store: HistoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phichat.history.imports.BATCH", 30)
    many = [talk(("user", f"question {number}"), ("assistant", "x")) for number in range(101)]
    assert await import_file(store, written(tmp_path, many, "jsonl")) == Merged(101, 0, 0)
    assert len([text async for text in render(store, ids(store), "openai")]) == 101


async def test_an_export_takes_the_place_of_a_file_at_once(store: HistoryStore, tmp_path: Path) -> None:
    await store.merge([forked()])
    path, reader = tmp_path / "chats.jsonl", tmp_path / "as a reader has it open"
    path.write_text("old")
    os.link(path, reader)
    await export(store, ids(store), path, "jsonl")
    assert reader.read_text() == "old"
    assert path.read_text().startswith('{"phichat":1')


async def test_an_export_that_fails_leaves_the_file_as_it_was(store: HistoryStore, tmp_path: Path) -> None:
    await store.merge([forked()])
    path = tmp_path / "chats.jsonl"
    path.write_text("precious")

    async def some() -> AsyncIterator[str]:
        async for identity in ids(store):
            yield identity
        yield "nothing"

    with pytest.raises(NotFoundError):
        await export(store, some(), path, "jsonl")
    assert path.read_text() == "precious"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["chats.jsonl"]
    with pytest.raises(HistoryError, match="cannot be written: No such file"):
        await export(store, ids(store), tmp_path / "nowhere" / "chats.jsonl", "jsonl")
