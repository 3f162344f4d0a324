"""The SQLite store: the suite of all stores, and what only a file of this machine has to do."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from phichat.errors import HistoryError
from phichat.history import HistoryStore, StoredMessage
from phichat.history.sqlite import SqliteStore
from phichat.history.sqlite.connection import Connection
from phichat.history.sqlite.opening import connect, publish
from tests.history.processes import lines, program
from tests.history.store_suite import StoreSuite, begun, said
from tests.history.store_suite import closing as closing_store
from tests.history.test_kill import check, stored


class TestSqlite(StoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "data" / "conversations.db"

    async def open_store(self) -> HistoryStore:
        return SqliteStore(self.path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "conversations.db"


async def test_programs_that_write_at_once_lose_nothing(path: Path) -> None:
    with program("chatter", path, "1") as one, program("chatter", path, "2") as other:
        pairs = itertools.islice(zip(lines(one.stdout), lines(other.stdout), strict=True), 400)
        shown = [line for pair in pairs for line in pair]
        for process in (one, other):
            process.kill()
            shown += lines(process.stdout)
            assert process.stderr and not process.stderr.read()
    states = check(shown, await stored(path))
    assert states["complete"] > 20
    assert not states["failed"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights than these")
async def test_only_the_owner_can_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        async with closing_store(SqliteStore(path)) as store:
            await said(store, await begun(store), "secret")
            files = list(path.parent.glob(f"{path.name}*"))
            assert len(files) == 3
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(before)


async def test_a_writer_that_died_leaves_an_answer_that_is_found(path: Path) -> None:
    async with closing_store(SqliteStore(path)) as store:
        made = await begun(store)
        answer = StoredMessage(conversation_id=made.id, role="assistant", state="partial")
        await store.append(answer)
        await store.extend(made.id, answer.id, "quokka one")
        async with closing_store(SqliteStore(path)) as other:
            assert len(await other.search("quokka")) == 1
        # It had not died: what it goes on to write is found as well, and only that.
        await store.extend(made.id, answer.id, " and two")
        await store.finish(answer.model_copy(update={"state": "complete", "content": "wombat"}))
        assert not await store.search("quokka")
        assert len(await store.search("wombat")) == 1


async def test_messages_wait_for_the_disk_and_pieces_do_not(path: Path) -> None:
    """`FULL` waits for the disk when it commits, `NORMAL` does not."""
    statements: list[str] = []
    async with closing_store(SqliteStore(path)) as store:
        made = await begun(store)
        await store._writer.run(lambda connection: connection.set_trace_callback(statements.append))  # type: ignore[attr-defined]
        question = await said(store, made, "Who?")
        answer = StoredMessage(
            conversation_id=made.id, parent_id=question.id, role="assistant", state="partial"
        )
        await store.append(answer)
        await store.extend(made.id, answer.id, "Bill")
        await store.finish(answer.model_copy(update={"state": "complete"}))
        await store.rename(made.id, "Gates")
    modes = [sql.partition("= ")[2] for sql in statements if sql.startswith("PRAGMA synchronous")]
    assert modes == ["FULL", "NORMAL", "NORMAL", "FULL", "FULL"]


async def test_a_search_that_is_stopped_stops_and_harms_nothing_else(path: Path) -> None:
    # Some seconds, should it not be stopped: a thread that never ends would hold up the whole test run.
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3e7) SELECT count(*) FROM n"
    connection = Connection(path)
    running = asyncio.Event()
    loop = asyncio.get_running_loop()
    stopped: list[sqlite3.Error] = []

    def search(sqlite: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(running.set)
        try:
            sqlite.execute(count).fetchone()
        except sqlite3.OperationalError as error:
            stopped.append(error)

    task = asyncio.create_task(connection.run(search, interruptible=True))
    await running.wait()
    following = asyncio.create_task(connection.run(lambda sqlite: sqlite.execute("SELECT 7").fetchone()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await following == (7,)
    assert [error.sqlite_errorname for error in stopped] == ["SQLITE_INTERRUPT"]
    await connection.aclose()
    await connection.aclose()


async def test_a_file_that_stays_locked_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phichat.history.sqlite.opening.BUSY_TIMEOUT_S", 0.05)
    async with closing_store(SqliteStore(path)) as store:
        made = await begun(store)
        with closing(connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(HistoryError, match=r"Another program keeps .* locked"):
                await said(store, made, "Hello")
            assert (await store.read(made.id)).messages == ()
        await said(store, made, "Hello")


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_a_new_file_never_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path, draft = tmp_path / "conversations.db", tmp_path / "draft"
    for content in ("first", "second"):
        draft.unlink(missing_ok=True)
        draft.write_text(content)
        publish(draft, path)
        assert path.read_text() == "first"


async def test_a_place_where_nothing_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.db").mkdir()
    for path in (tmp_path / "file" / "conversations.db", tmp_path / "folder.db"):
        async with closing_store(SqliteStore(path)) as store:
            with pytest.raises(HistoryError, match=f"The conversations in {path} cannot be opened"):
                await store.page()
