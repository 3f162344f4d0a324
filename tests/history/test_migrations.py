"""A store of every older version opens with all that it has, and is then like a new one."""

from __future__ import annotations

import itertools
import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from phichat.backends.base import ChatOptions, Usage
from phichat.errors import HistoryError
from phichat.history.sqlite import SqliteStore
from phichat.history.sqlite.migrations import STEPS, VERSION, migrate, version
from phichat.history.sqlite.opening import connect
from tests.history.processes import program
from tests.history.store_suite import closing as closing_store

OLDER = {1: Path(__file__).with_name("v1.sql")}


def test_there_is_a_file_of_every_older_version() -> None:
    assert list(OLDER) == list(range(1, VERSION))


@pytest.fixture(params=OLDER)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store of an older version."""
    path = tmp_path / "conversations.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLDER[request.param].read_text(encoding="utf-8"))
        connection.execute("PRAGMA journal_mode = WAL")
    return path


def schema(connection: sqlite3.Connection) -> set[str]:
    """The statements that make a file's tables, whatever their layout."""
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {re.sub(r"\s", "", row[0]) for row in rows}


def test_an_older_store_becomes_like_a_new_one(old: Path, tmp_path: Path) -> None:
    with closing(connect(old)) as migrated, closing(connect(tmp_path / "new.db")) as new:
        assert version(migrated) == version(new) == VERSION
        assert schema(migrated) == schema(new)
        assert migrated.execute("PRAGMA foreign_key_check").fetchall() == []
        for index in ("message_index", "title_index"):
            migrated.execute(f"INSERT INTO {index} ({index}) VALUES ('integrity-check')")


async def test_an_older_store_keeps_all_it_has(old: Path) -> None:
    async with closing_store(SqliteStore(old)) as store:
        alive = (await store.page()).conversations
        deleted = (await store.page(deleted=True)).conversations
        assert [(each.title, each.project, each.revised) for each in alive] == [
            ("The lighthouse", "/home/me/lighthouse", 130.25)
        ]
        assert [(each.title, each.deleted, each.revised) for each in deleted] == [("Deleted", 300.0, 300.0)]
        found = await store.read(alive[0].id)
        question, stopped, answer, partial = found.messages
        assert found.branch() == [question, answer]
        assert found.versions(answer.id) == [stopped, answer]
        assert (stopped.state, stopped.template_hash) == ("stopped", "abc")
        assert stopped.options == ChatOptions(temperature=0.7, seed=7, stop=("x",))
        assert answer.usage == Usage(prompt_tokens=12, completion_tokens=9, finish_reason="stop")
        assert (answer.ttft_s, answer.tokens_per_s) == (0.25, 31.5)
        assert (partial.state, partial.content) == ("partial", "It was being written when")


async def test_an_older_store_can_be_searched_as_a_new_one(old: Path) -> None:
    async with closing_store(SqliteStore(old)) as store:
        hits = await store.search("lighthouse", project="/home/me/lighthouse")
        assert [hit.snippet.text for hit in hits] == [
            "The lighthouse",
            "The lighthouse was bu",
            "Who built the lighthouse?",
        ]
        assert not await store.search("lighthouse", project="")
        assert len(await store.search("being written")) == 1


def test_a_migration_that_fails_changes_nothing(old: Path) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE title_index (in_the_way)")
        before = schema(connection)
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            migrate(connection)
        assert schema(connection) == before
        assert version(connection) == 1


def test_who_comes_second_to_a_migration_waits_and_finds_it_done(old: Path) -> None:
    waiting = threading.Event()

    def second() -> int:
        with closing(sqlite3.connect(old, isolation_level=None)) as connection:
            connection.set_trace_callback(lambda statement: waiting.set())
            migrate(connection)
            return version(connection)

    with ThreadPoolExecutor(1) as thread, closing(sqlite3.connect(old, isolation_level=None)) as first:
        first.execute("BEGIN IMMEDIATE")
        later = thread.submit(second)
        waiting.wait()
        for statement in itertools.chain(*STEPS[1:]):
            first.execute(statement)
        first.execute(f"PRAGMA user_version = {VERSION}")
        first.execute("COMMIT")
        assert later.result() == VERSION


def test_two_programs_migrate_and_make_a_store_once(old: Path, tmp_path: Path) -> None:
    for path in (old, tmp_path / "not there yet" / "conversations.db"):
        with program("opener", path) as one, program("opener", path) as other:
            for process in (one, other):
                assert process.stdout and process.stdout.readline() == '{"ready": true}\n'
            for process in (one, other):
                assert process.stdin
                process.stdin.write("\n")
                process.stdin.flush()
            for process in (one, other):
                assert process.communicate() == (f'{{"version": {VERSION}}}\n', "")
        assert not list(path.parent.glob(".*"))


async def test_a_newer_store_is_told_in_a_sentence_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    with closing(connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    async with closing_store(SqliteStore(path)) as store:
        with pytest.raises(HistoryError, match="made by a newer phichat"):
            await store.page()
    assert path.read_bytes() == before
