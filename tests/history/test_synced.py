"""The synced store: a copy here that goes on without a network, and ends the same as what lies elsewhere."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from pydantic import SecretStr

from phichat.errors import HistoryError, NotFoundError, UnreachableError
from phichat.history import Conversation, HistoryStore, StoredMessage, Sync, Transcript
from phichat.history.cosmos import CosmosStore, Place
from phichat.history.formats import jsonl
from phichat.history.sqlite import SqliteStore
from phichat.history.synced import SyncedStore
from phichat.history.synced.journal import Journal, Mark
from phichat.history.synced.remote import Joined
from tests.history.cosmos import KEY, Server, cosmos_server
from tests.history.store_suite import StoreSuite, begun, closing, elsewhere, listed, said

__all__ = ["cosmos_server"]


def machine(folder: Path, place: Place, *, background: bool = False) -> SyncedStore:
    """A machine's copy of what lies there; rounds are gone when the test says so."""
    local, journal = SqliteStore(folder / "copy.db"), Journal(folder / "copy.journal")
    return SyncedStore(local, CosmosStore(place), journal, background=background)


@pytest.fixture
def place(cosmos_server: Server) -> Place:
    """A container that nobody has used."""
    cosmos_server.fail()
    return cosmos_server.place()


@pytest.fixture
async def here(tmp_path: Path, place: Place) -> AsyncIterator[SyncedStore]:
    """One machine."""
    async with aclosing(machine(tmp_path / "here", place)) as store:
        yield store


@pytest.fixture
async def there(tmp_path: Path, place: Place) -> AsyncIterator[SyncedStore]:
    """Another one."""
    async with aclosing(machine(tmp_path / "there", place)) as store:
        yield store


async def everything(store: HistoryStore) -> list[str]:
    """All conversations as they would be exported, the deleted ones as well."""
    return [
        jsonl(await store.read(conversation.id))
        for deleted in (False, True)
        async for conversation in store.conversations(deleted=deleted)
    ]


async def same(*machines: SyncedStore) -> list[str]:
    """What all machines and the place itself have, after as many rounds as it takes."""
    for each in (*machines, *machines):
        await each.synchronise()
    async with closing(CosmosStore(machines[0]._remote.place)) as remote:  # type: ignore[attr-defined]
        found = await everything(remote)
    for each in machines:
        assert await everything(each) == found
        assert (each.sync.state, each.sync.pending) == ("synced", 0)
    return found


class TestSynced(StoreSuite):
    """With a place that cannot be reached all the time: nothing that a store does needs it."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def open_store(self) -> HistoryStore:
        return machine(self.folder, Place("https://127.0.0.1:9/", "me", SecretStr(KEY)))


async def test_what_is_said_on_one_machine_is_found_on_the_other(
    here: SyncedStore, there: SyncedStore
) -> None:
    made = await begun(here, title="Quokka")
    question = await said(here, made, "Where does it live?")
    assert here.sync[:2] == ("behind", 1)
    assert await listed(there) == []
    await here.synchronise()
    assert here.sync[:2] == ("synced", 0) and here.sync.at
    await there.synchronise()
    await said(there, made, "On Rottnest Island.", question, "assistant")
    assert len(await same(here, there)) == 1
    assert (await here.read(made.id)).branch()[-1].content == "On Rottnest Island."
    assert await here.search("Rottnest")


async def test_without_a_network_everything_goes_on_and_is_sent_later(
    here: SyncedStore, there: SyncedStore, cosmos_server: Server
) -> None:
    made = await begun(here)
    await said(here, made, "Before")
    await same(here, there)
    cosmos_server.fail(down=True)
    mine = await said(here, made, "Mine")
    new = await begun(here, title="New")
    for machine_ in (here, there):
        with pytest.raises(UnreachableError, match="cannot be reached"):
            await machine_.synchronise()
    assert here.sync.state == "behind" and here.sync.pending == 2
    assert "cannot be reached" in here.sync.detail
    theirs = await said(there, made, "Theirs")
    await there.rename(made.id, "Renamed")
    assert (await here.read(made.id)).message(mine.id) == mine
    cosmos_server.fail()
    await same(here, there)
    found = await here.read(made.id)
    assert {message.content for message in found.messages} == {"Before", "Mine", "Theirs"}
    assert found.conversation.title == "Renamed"
    assert found.message(theirs.id) == theirs
    assert (await there.get(new.id)).title == "New"


async def test_what_is_removed_for_good_goes_everywhere(here: SyncedStore, there: SyncedStore) -> None:
    made, kept = await begun(here), await begun(here)
    await said(here, made, "Doomed")
    await same(here, there)
    await there.purge(made.id)
    assert len(await same(there, here)) == 1
    for each in (here, there):
        with pytest.raises(NotFoundError):
            await each.read(made.id)
        assert await listed(each) == [kept.id]


async def test_what_another_program_still_writes_into_is_removed_all_the_same(
    tmp_path: Path, place: Place, here: SyncedStore, there: SyncedStore
) -> None:
    made = await begun(here)
    answer = StoredMessage(conversation_id=made.id, role="assistant", state="partial")
    await here.append(answer)
    await same(here, there)
    async with aclosing(machine(tmp_path / "here", place)) as other:
        await other.purge(made.id)
    with pytest.raises(NotFoundError):
        await here.extend(made.id, answer.id, "I go on")
    with pytest.raises(NotFoundError):
        await here.rename(made.id, "Still here")
    assert await same(here, there) == []


async def test_what_is_taken_in_after_its_removal_stays_without_what_was_removed(
    here: SyncedStore, there: SyncedStore
) -> None:
    copy = elsewhere()
    await here.merge([copy])
    await said(here, copy.conversation, "Doomed")
    await here.synchronise()
    await here.purge(copy.conversation.id)
    await here.merge([copy])
    await here.rename(copy.conversation.id, "Restored")
    await same(here, there)
    found = await there.read(copy.conversation.id)
    assert (found.conversation.title, found.messages) == ("Restored", copy.messages)


async def test_what_was_taken_in_after_its_removal_is_not_removed_again(
    here: SyncedStore, there: SyncedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await begun(here)
    await here.synchronise()
    await here.purge(made.id)
    await here.create(made)
    join = here._remote.join

    async def slow(theirs: Transcript) -> Joined:
        joined = await join(theirs)
        await here.rename(made.id, "While it was sent")
        return joined

    with monkeypatch.context() as patched:
        patched.setattr(here._remote, "join", slow)
        await here.synchronise()
    await there.synchronise()
    answer = await said(there, made, "Here again")
    await there.synchronise()
    await same(here, there)
    assert (await here.read(made.id)).messages == (answer,)


async def test_what_was_said_meanwhile_is_not_removed(here: SyncedStore, there: SyncedStore) -> None:
    made = await begun(here)
    await said(here, made, "First")
    await same(here, there)
    await there.purge(made.id)
    last = await said(here, made, "But I was still talking")
    await same(there, here)
    assert (await there.read(made.id)).message(last.id) == last


async def test_what_is_said_just_before_it_would_be_removed_stays(
    here: SyncedStore, there: SyncedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await begun(here)
    await same(here, there)
    await there.purge(made.id)
    await there.synchronise()
    marks = here._journal.marks
    looks = itertools.count(1)
    late = StoredMessage(conversation_id=made.id, role="user", content="I was still typing")

    async def slow() -> list[Mark]:
        found = await marks()
        if next(looks) == 3:  # a round looks before it sends, before it fetches, and before it removes
            await here.append(late)
        return found

    monkeypatch.setattr(here._journal, "marks", slow)
    await here.synchronise()
    await same(here, there)
    assert (await there.read(made.id)).messages == (late,)


async def test_a_branch_that_was_chosen_stays_chosen(here: SyncedStore, there: SyncedStore) -> None:
    made = await begun(here)
    question = await said(here, made, "Who?")
    first = await said(here, made, "Gates", question, "assistant")
    second = await said(here, made, "Allen", question, "assistant")
    for _ in range(2):
        await here.synchronise()
        await there.synchronise()
    await here.select(made.id, first.id)
    await here.synchronise()
    await there.rename(made.id, "Founders")
    await there.synchronise()
    await here.synchronise()
    assert (await here.get(made.id)).title == "Founders"
    assert (await here.get(made.id)).leaf == first.id
    assert (await there.get(made.id)).leaf == second.id


async def test_a_program_that_died_in_the_middle_of_a_write_is_made_good(
    tmp_path: Path, place: Place, there: SyncedStore
) -> None:
    async with aclosing(machine(tmp_path / "here", place)) as store:
        made = await begun(store)
        await store.synchronise()
        # It died after it had noted what it would do, and then another that had done it but not said so.
        await store._journal.begin("never made")
        await store._journal.begin(made.id)
        message = StoredMessage(conversation_id=made.id, role="user", content="Kept")
        await store.local.append(message)
    async with aclosing(machine(tmp_path / "here", place)) as store:
        await store.synchronise()
    await there.synchronise()
    assert (await there.read(made.id)).messages == (message,)


async def test_a_lost_journal_loses_nothing(tmp_path: Path, place: Place, there: SyncedStore) -> None:
    copy = elsewhere()
    async with aclosing(machine(tmp_path / "here", place)) as store:
        await store.merge([copy])
    for file in (tmp_path / "here").glob("copy.journal*"):
        file.unlink()
    async with aclosing(machine(tmp_path / "here", place)) as store:
        await store.synchronise()
    await there.synchronise()
    assert await there.read(copy.conversation.id) == copy


async def test_a_change_during_a_round_is_sent_by_the_next(
    here: SyncedStore, there: SyncedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await begun(here)
    join = here._remote.join
    late = StoredMessage(conversation_id=made.id, role="user", content="Late")

    async def slow(theirs: Transcript) -> Joined:
        joined = await join(theirs)
        if not (await here.read(made.id)).messages:
            await here.append(late)
        return joined

    monkeypatch.setattr(here._remote, "join", slow)
    await here.synchronise()
    assert here.sync.pending == 1
    await here.synchronise()
    await there.synchronise()
    assert (await there.read(made.id)).messages == (late,)


async def test_in_the_background_it_is_sent_by_itself(
    tmp_path: Path, place: Place, there: SyncedStore
) -> None:
    async with aclosing(machine(tmp_path / "here", place, background=True)) as store:
        news = asyncio.Event()
        told: list[Sync] = []

        def listen() -> None:
            told.append(store.sync)
            news.set()

        store.on_sync(listen)
        made = await begun(store)
        await said(store, made, "Hello")
        while store.sync.state != "synced":
            news.clear()
            await news.wait()
        assert told[0][:2] == ("syncing", 1) and told[-1][:2] == ("synced", 0)
        await there.synchronise()
        assert len((await there.read(made.id)).messages) == 1


async def test_the_end_of_a_program_sends_what_was_said_last(
    tmp_path: Path, place: Place, there: SyncedStore
) -> None:
    async with aclosing(machine(tmp_path / "here", place, background=True)) as store:
        made = await begun(store)
        await said(store, made, "Goodbye")
    await there.synchronise()
    assert len((await there.read(made.id)).messages) == 1


async def test_the_end_of_a_program_does_not_wait_for_who_does_not_answer(
    tmp_path: Path, place: Place, there: SyncedStore, cosmos_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phichat.history.synced.store.CLOSE_SECONDS", 0.1)
    remote, asked = CosmosStore(place), asyncio.Event()
    join = remote.join

    async def told(theirs: Transcript) -> Joined:
        asked.set()
        return await join(theirs)

    monkeypatch.setattr(remote, "join", told)
    local, journal = SqliteStore(tmp_path / "here" / "copy.db"), Journal(tmp_path / "here" / "copy.journal")
    store = SyncedStore(local, remote, journal)
    cosmos_server.fail(hang=True)
    made = await begun(store, title="Goodbye")
    await asked.wait()
    (sending,) = remote._under_way
    await store.aclose()
    assert sending.cancelled(), "it was waited for until it gave up by itself"
    cosmos_server.fail()
    async with aclosing(machine(tmp_path / "here", place)) as again:
        await again.synchronise()
    await there.synchronise()
    assert (await there.get(made.id)).title == "Goodbye"


async def test_a_conversation_that_is_refused_does_not_hold_up_the_others(
    here: SyncedStore, there: SyncedStore
) -> None:
    endless = Conversation(system="x" * 3_000_000)
    await here.create(endless)
    made = await begun(here)
    with pytest.raises(HistoryError, match="too long"):
        await here.synchronise()
    await there.synchronise()
    assert await listed(there) == [made.id]
    assert here.sync.pending == 1
