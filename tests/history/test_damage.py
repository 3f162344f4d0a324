"""A full disk or a damaged file ends in one sentence, and costs no more than it must."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from phichat.errors import HistoryError, PhichatError
from phichat.history import Conversation, HistoryStore, StoredMessage, Transcript
from phichat.history.sqlite import SqliteStore
from phichat.history.sqlite.opening import connect
from phichat.history.sqlite.recovery import recover
from tests.history.processes import lines, program
from tests.history.store_suite import begun, said
from tests.history.store_suite import closing as closing_store
from tests.history.test_kill import check, stored

SEEDS = int(os.environ.get("HISTORY_DAMAGES", "10"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with some conversations."""
    path = tmp_path_factory.mktemp("sound") / "conversations.db"
    asyncio.run(fill(path))
    return path


async def fill(path: Path) -> None:
    """Make 20 conversations of 10 messages."""
    async with closing_store(SqliteStore(path)) as store:
        for number in range(20):
            conversation = await begun(store, title=f"Title {number}", project=f"/p{number % 3}")
            parent = None
            for turn in range(10):
                parent = await said(store, conversation, f"text {turn} " * 20, parent)


@pytest.fixture
def path(sound: Path, tmp_path: Path) -> Path:
    """A copy of the store, to be damaged."""
    return Path(shutil.copy(sound, tmp_path / "conversations.db"))


async def everything(store: HistoryStore) -> dict[str, Transcript]:
    """All conversations by their ids."""
    return {each.id: await store.read(each.id) async for each in store.conversations()}


async def use(path: Path) -> list[PhichatError]:
    """What goes wrong where a store is used in every way."""
    store = SqliteStore(path)
    new = Conversation()
    message = StoredMessage(conversation_id=new.id, role="user", content="text")
    wrong = [await outcome(everything(store))]
    found = [] if wrong[0] else list(await everything(store))
    for attempt in (
        store.page(),
        store.search("text 3"),
        store.search("title"),
        store.search("\u4e16"),
        store.create(new),
        store.append(message),
        store.merge([Transcript(new, (message,))]),
        *(attempt for each in found for attempt in (store.rename(each, "other"), store.purge(each))),
        store.aclose(),
    ):
        wrong.append(await outcome(attempt))
    return [error for error in wrong if error]


async def outcome(attempt: Coroutine[Any, Any, Any]) -> PhichatError | None:
    """How it went wrong; None if it did not."""
    try:
        await attempt
    except PhichatError as error:
        return error
    return None


def told_well(error: PhichatError, path: Path) -> bool:
    """Whether it is one sentence that names the file, or a conversation that the damage has hidden."""
    names = str(path) if isinstance(error, HistoryError) else "There is no conversation '"
    return names in error.message and bool(re.fullmatch(r"[A-Z][^\n]*\.", error.message)) and bool(error.hint)


# A full disk


async def test_a_full_disk_is_told_and_takes_nothing_along(path: Path) -> None:
    async with closing_store(SqliteStore(path)) as store:
        before = await everything(store)
        made = await begun(store)
        await limit_pages(store, 1)
        with pytest.raises(HistoryError, match="cannot be kept: the disk is full") as told:
            await said(store, made, "too much " * 100_000)
        assert told_well(told.value, path)
        assert (await store.read(made.id)).messages == ()
        await limit_pages(store, 1_000_000)
        message = await said(store, made, "there is room again")
        after = await everything(store)
        assert after.pop(made.id).messages == (message,)
        assert after == before


async def limit_pages(store: HistoryStore, count: int) -> None:
    """Let the file grow to so many pages, or not at all if it has more."""
    assert isinstance(store, SqliteStore)
    await store._writer.run(
        lambda connection: connection.execute(f"PRAGMA max_page_count = {count}").fetchall()
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot limit the size of files")
async def test_what_was_shown_before_the_disk_was_full_is_there(path: Path) -> None:
    with program("chatter", path, "1", str(path.stat().st_size + 200_000)) as process:
        *shown, last = lines(process.stdout)
        assert process.stderr and not process.stderr.read()
    assert told_well(HistoryError(last["error"], last["hint"]), path)
    assert "the disk is full or failing" in last["error"]
    assert len(shown) > 10
    check(shown, await stored(path))


# A damaged file


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_random_bytes_end_in_a_sentence(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    for _ in range(chance.randrange(1, 5)):
        at, size = chance.randrange(len(content)), chance.randrange(1, 9000)
        content[at : at + size] = chance.randbytes(len(content[at : at + size]))
    path.write_bytes(content)
    recovered = path.with_name("recovered.db")
    shutil.copy(path, recovered)
    for error in await use(path):
        assert told_well(error, path)
    await readable_again(recovered)


@pytest.mark.parametrize("size", [0, 1, 50, 100, 4096, 5000, 50_000, -4096])
async def test_a_truncated_file_is_told(path: Path, size: int) -> None:
    content = path.read_bytes()[:size]
    path.write_bytes(content)
    recovered = path.with_name("recovered.db")
    shutil.copy(path, recovered)
    wrong = await use(path)
    assert wrong
    for error in wrong:
        assert told_well(error, path)
    await readable_again(recovered)


async def readable_again(path: Path) -> dict[str, Transcript]:
    """What a recovery has saved; the damaged file must be left as it was."""
    damaged = path.read_bytes()
    saved = recover(path)
    assert saved.kept.read_bytes() == damaged
    assert list(path.parent.glob(".*")) == []
    async with closing_store(SqliteStore(path)) as store:
        found = await everything(store)
        assert (len(found), sum(len(each.messages) for each in found.values())) == saved[:2]
        for transcript in found.values():
            transcript.check()
    with closing(connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


async def test_a_file_that_is_something_else_is_told_and_left_alone(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)
    before = path.read_bytes()
    for error in await use(path):
        assert told_well(error, path)
    assert path.read_bytes() == before


async def test_a_row_that_makes_no_sense_is_told(path: Path) -> None:
    with closing(connect(path)) as connection:
        connection.execute("UPDATE messages SET role = 'robot' WHERE key = 15")
        connection.execute("UPDATE messages SET usage = '{' WHERE key = 25")
        connection.execute("UPDATE conversations SET title = CAST(x'ff' AS TEXT) WHERE key = 4")
    wrong = await use(path)
    assert wrong
    for error in wrong:
        assert told_well(error, path)


# Recovery


async def test_what_is_not_damaged_is_recovered_as_it_was(path: Path) -> None:
    async with closing_store(SqliteStore(path)) as store:
        before = await everything(store)
    assert await readable_again(path) == before


async def test_recovery_brings_what_is_only_in_the_log(path: Path, tmp_path: Path) -> None:
    async with closing_store(SqliteStore(path)) as store:
        made = await begun(store)
        message = await said(store, made, "only in the log")
        # As a program that was killed leaves it.
        copy = tmp_path / "copy" / path.name
        copy.parent.mkdir()
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, copy.parent)
    saved = recover(copy)
    assert len(list(copy.parent.glob(f"{saved.kept.name}*"))) == 2
    async with closing_store(SqliteStore(copy)) as store:
        assert (await store.read(made.id)).messages == (message,)


def test_what_cannot_be_exchanged_stays_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = path.with_name(f"{path.name}-wal")
    log.write_bytes(b"log")
    before = {each: each.read_bytes() for each in (path, log)}
    there: list[bool] = []

    def failing(function: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def rename(old: Any, new: Any) -> None:
            if Path(old).name == "new.db":
                there.append(path.exists())
                raise OSError(errno.EIO, "Input/output error")
            function(old, new)

        return rename

    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    with pytest.raises(HistoryError, match="Input/output error"):
        recover(path)
    assert {each: each.read_bytes() for each in path.parent.iterdir()} == before
    assert there == [True], "killed there, the next start would have begun an empty store"


async def test_most_of_a_damaged_store_is_recovered(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT pageno FROM dbstat WHERE name = 'messages' AND pagetype = 'leaf' LIMIT 1 OFFSET 2"
        ).fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    async with closing_store(SqliteStore(path)) as store:
        with pytest.raises(HistoryError, match="are damaged"):
            await everything(store)
    found = await readable_again(path)
    assert len(found) == 20
    assert 180 <= sum(len(each.messages) for each in found.values()) < 200


async def test_messages_are_recovered_without_their_conversations(path: Path) -> None:
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DELETE FROM conversations WHERE key = 3")
        connection.execute("DELETE FROM messages WHERE key = 45")
    found = await readable_again(path)
    assert sorted(len(each.messages) for each in found.values()) == [9] + [10] * 19
    assert [each.conversation.title for each in found.values()].count("Recovered") == 1


async def test_an_older_version_is_recovered(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(Path(__file__).with_name("v1.sql").read_text(encoding="utf-8"))
    saved = recover(path)
    assert saved[:2] == (2, 4)


async def test_a_log_without_its_file_is_told_and_set_aside(path: Path) -> None:
    path.with_name(f"{path.name}-wal").write_bytes(b"log")
    path.unlink()
    async with closing_store(SqliteStore(path)) as store:
        with pytest.raises(HistoryError, match="only their log is left"):
            await store.page()
        saved = recover(path)
        assert saved[:2] == (0, 0)
        assert saved.kept.with_name(f"{saved.kept.name}-wal").read_bytes() == b"log"
        assert (await store.page()).conversations == []


def test_nothing_is_recovered_from_nothing(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="not there"):
        recover(tmp_path / "conversations.db")
    assert list(tmp_path.iterdir()) == []
