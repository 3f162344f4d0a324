"""The Cosmos DB store, on a server of its protocol: the suite of all stores, and what else it does."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import aclosing
from dataclasses import replace

import pytest
from azure.core.credentials import AccessToken
from azure.cosmos.exceptions import CosmosHttpResponseError
from pydantic import SecretStr

from phichat.errors import HistoryError, NotFoundError, UnreachableError
from phichat.history import HistoryStore, StoredMessage, Transcript
from phichat.history.cosmos import CosmosStore, Place
from phichat.history.cosmos.container import Container
from phichat.history.cosmos.documents import PART_LENGTH, document_id, partition_of, tombstone
from phichat.history.cosmos.failures import explained
from tests.history.cosmos import KEY, Server, cosmos_server
from tests.history.store_suite import StoreSuite, begun, closing, elsewhere, said

__all__ = ["cosmos_server"]


class TestCosmos(StoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self, cosmos_server: Server) -> None:
        self.place = cosmos_server.place()

    async def open_store(self) -> HistoryStore:
        return CosmosStore(self.place)


async def test_a_change_that_was_overtaken_is_made_anew(cosmos_server: Server) -> None:
    """Ten machines rename and talk at once, each with what it read before: nobody's change is lost."""
    place = cosmos_server.place()
    async with closing(CosmosStore(place)) as store:
        made = await begun(store)
        answer = StoredMessage(conversation_id=made.id, role="assistant", state="partial")
        await store.append(answer)
        others = [CosmosStore(place) for _ in range(5)]
        try:
            await asyncio.gather(
                *(each.extend(made.id, answer.id, f"{number} ") for number, each in enumerate(others)),
                *(said(each, made, "Hello", answer) for each in others),
                *(each.rename(made.id, "Renamed") for each in others),
            )
        finally:
            for each in others:
                await each.aclose()
        found = await store.read(made.id)
    assert sorted(found.message(answer.id).content.split()) == ["0", "1", "2", "3", "4"]
    assert len(found.messages) == 6
    assert found.conversation.title == "Renamed"
    assert found.conversation.updated == found.messages[-1].created


async def test_what_was_read_is_replaced_only_as_it_was_read(cosmos_server: Server) -> None:
    async with aclosing(Container(cosmos_server.place())) as container:
        kept = await container.create({"id": "a", "partitionKey": "me", "number": 1})
        assert kept
        assert await container.create({"id": "a", "partitionKey": "me"}) is None
        newer = await container.replace({**kept, "number": 2}, kept)
        assert newer and newer["number"] == 2
        assert await container.replace({**kept, "number": 3}, kept) is None
        await container.delete("me", "a")
        await container.delete("me", "a")
        assert await container.replace({**newer, "number": 3}, newer) is None
        assert await container.get("me", "a") is None


async def test_pages_follow_each_other_by_the_token_of_the_service(cosmos_server: Server) -> None:
    async with closing(CosmosStore(cosmos_server.place())) as store:
        made = [await begun(store) for _ in range(5)]
        first = await store.page(order="id", limit=2)
        assert first.cursor and "RID" in first.cursor
        second = await store.page(order="id", limit=2, cursor=first.cursor)
        assert [each.id for each in second.conversations] == [each.id for each in made[2:4]]


async def test_who_asks_too_much_waits_as_long_as_the_service_says(
    cosmos_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = cosmos_server.place()
    async with closing(CosmosStore(place)) as store:
        made = await begun(store)
        cosmos_server.fail(throttle=3)
        message = await said(store, made, "Patience")
        assert cosmos_server.fail()["throttled"] == 3
        assert (await store.read(made.id)).messages == (message,)
    monkeypatch.setattr("phichat.history.cosmos.container.THROTTLED", 1)
    async with closing(CosmosStore(place)) as store:
        await store.get(made.id)
        cosmos_server.fail(throttle=100)
        with pytest.raises(UnreachableError, match="more than its throughput allows"):
            await store.get(made.id)
        cosmos_server.fail()
        assert await store.get(made.id) == (await store.read(made.id)).conversation


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_connection_that_is_cut_in_the_middle_of_writes_loses_nothing(
    cosmos_server: Server, cut: str
) -> None:
    """Before: the write did not happen. After: it did, and nobody was told. Either is safe to repeat."""
    place = cosmos_server.place()
    async with closing(CosmosStore(place)) as store:
        made = await begun(store)
        cosmos_server.fail(cut=cut, every=3)
        told: list[StoredMessage] = []
        for number in range(10):
            message = StoredMessage(conversation_id=made.id, role="user", content=str(number))
            for _ in range(20):
                try:
                    await store.append(message)
                    break
                except HistoryError:
                    continue
            told.append(message)
        await store.merge([elsewhere()])
        assert cosmos_server.fail()["cut"] > 5
        found = await store.read(made.id)
    assert found.messages == tuple(told)
    assert found.conversation.leaf == told[-1].id
    assert found.conversation.updated == told[-1].created


async def test_a_text_that_no_document_can_have_is_divided(cosmos_server: Server) -> None:
    place = cosmos_server.place()
    async with closing(CosmosStore(place)) as store:
        made = await begun(store)
        long = "🎉" * (2 * PART_LENGTH + 1)
        answer = StoredMessage(conversation_id=made.id, role="assistant", state="partial", content=long)
        await store.append(answer)
        await store.extend(made.id, answer.id, long)
        assert (await store.read(made.id)).message(answer.id).content == long * 2
        await store.finish(answer.model_copy(update={"content": "short", "state": "complete"}))
        assert (await store.read(made.id)).message(answer.id).content == "short"
        partition = partition_of("me", made.id)
        async with aclosing(Container(place)) as container:
            left = [each async for each in container.query(partition, "IS_DEFINED(c.id)")]
    assert [each["kind"] for each in left] == ["message"]


async def test_a_purge_that_was_interrupted_is_made_good(cosmos_server: Server) -> None:
    place = cosmos_server.place()
    async with closing(CosmosStore(place)) as store, aclosing(Container(place)) as container:
        made = await begun(store)
        await said(store, made, "Doomed")
        there = await container.get("me", made.id)
        assert there and await container.replace(tombstone(made.id, "me"), there)
        with pytest.raises(NotFoundError):
            await store.get(made.id)
        copy = elsewhere()
        renamed = copy.conversation.model_copy(update={"id": made.id})
        await store.merge([Transcript(renamed.model_copy(update={"leaf": None}))])
        assert (await store.read(made.id)).messages == ()
        await store.purge(made.id)
        assert [each async for each in container.query(partition_of("me", made.id), "IS_DEFINED(c.id)")] == []


async def test_every_owner_has_their_own(cosmos_server: Server) -> None:
    mine = cosmos_server.place()
    async with (
        closing(CosmosStore(mine)) as store,
        closing(CosmosStore(replace(mine, owner="you"))) as other,
    ):
        made = await begun(store, title="Mine")
        with pytest.raises(NotFoundError):
            await other.get(made.id)
        assert (await other.page()).conversations == []
        assert not await other.search("Mine")


async def test_the_container_is_made_as_configured(cosmos_server: Server) -> None:
    place = cosmos_server.place(ttl_seconds=3600, throughput=500)
    async with aclosing(Container(place)) as container:
        made = await (await container.opened()).read()
    assert made["defaultTtl"] == 3600
    assert made["partitionKey"]["paths"] == ["/partitionKey"]
    assert {"path": "/message/*"} in made["indexingPolicy"]["excludedPaths"]


async def test_what_would_be_forgotten_before_its_conversation_is_written_again(
    cosmos_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = cosmos_server.place(ttl_seconds=3600)
    copy = elsewhere()
    async with closing(CosmosStore(place)) as store, aclosing(Container(place)) as container:
        partition = partition_of("me", copy.conversation.id)

        async def versions() -> list[str]:
            return [each["_etag"] async for each in container.query(partition, "IS_DEFINED(c.id)")]

        await store.merge([copy])
        young, now = await versions(), time.time()
        await store.merge([copy])
        assert await versions() == young
        monkeypatch.setattr("phichat.history.cosmos.writing.time.time", lambda: now + 2400)
        await store.merge([copy])
        assert not set(await versions()) & set(young)


async def test_a_place_that_cannot_be_reached_is_told(cosmos_server: Server) -> None:
    place = cosmos_server.place()
    cosmos_server.fail(down=True)
    try:
        async with closing(CosmosStore(place)) as store:
            with pytest.raises(UnreachableError, match=r"127\.0\.0\.1.* cannot be reached") as caught:
                await store.get("x")
        assert KEY not in f"{caught.value.message} {place!r}"
    finally:
        cosmos_server.fail()


async def test_without_a_key_whoever_is_signed_in_is_asked(
    cosmos_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = replace(cosmos_server.place(), key=None)
    asked: list[str] = []

    class SignedIn:
        async def get_token(self, *scopes: str, **options: object) -> AccessToken:
            asked.extend(scopes)
            return AccessToken("token", 2**40)

        async def __aenter__(self) -> SignedIn:
            return self

        async def __aexit__(self, *_: object) -> None:
            await self.close()

        async def close(self) -> None:
            asked.append("closed")

    monkeypatch.setattr("azure.identity.aio.DefaultAzureCredential", SignedIn)
    async with closing(CosmosStore(place)) as store:
        await begun(store)
    assert asked[0] == "https://127.0.0.1/.default" and asked[-1] == "closed"


@pytest.mark.parametrize(
    ("endpoint", "checked"),
    [
        ("https://127.0.0.1:8081/", False),
        ("https://localhost:8081/", False),
        ("https://me.documents.azure.com:443/", True),
        ("https://127.0.0.1.evil.example/", True),
    ],
)
async def test_only_an_emulator_on_this_machine_signs_for_itself(
    endpoint: str, checked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def client(*_: object, **options: object) -> None:
        asked.update(options)
        raise OSError("no further")

    monkeypatch.setattr("azure.cosmos.aio.CosmosClient", client)
    with pytest.raises(UnreachableError):
        await Container(Place(endpoint, "me", SecretStr(KEY))).opened()
    assert asked["connection_verify"] is checked
    assert asked["enable_endpoint_discovery"] is checked


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (401, HistoryError, "does not accept the key"),
        (403, HistoryError, "refuses whoever is signed in"),
        (413, HistoryError, "as large as that"),
        (429, UnreachableError, "more than its throughput"),
        (503, UnreachableError, "answered 503"),
        (400, HistoryError, "answered 400: Bad query"),
    ],
)
def test_what_the_service_says_is_one_sentence(status: int, kind: type[HistoryError], told: str) -> None:
    place = Place("https://me.documents.azure.com", "me")
    with pytest.raises(HistoryError, match=told) as caught, explained(place):
        raise CosmosHttpResponseError(status, "Bad query\nand more")  # type: ignore[no-untyped-call]
    assert type(caught.value) is kind
    assert "\n" not in caught.value.message


def test_ids_are_documents_ids() -> None:
    assert document_id("019a-b") == "019a-b"
    for strange in ("a/b", "ü", "", "x" * 300, "#", "a\\b", "\ud800"):
        assert re.fullmatch("~[0-9a-f]{64}", document_id(strange))
