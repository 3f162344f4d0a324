"""A container of Cosmos DB: opened and made on first use, its documents read and written one by one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from phichat.errors import HistoryError
from phichat.history.cosmos.documents import Document
from phichat.history.cosmos.failures import explained
from phichat.history.cosmos.place import Place

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.cosmos.aio import ContainerProxy, CosmosClient

CONNECT_SECONDS = 5
READ_SECONDS = 20
THROTTLED = 9
"""How often a request is repeated that came too soon, each time after as long as the service says."""
LONGEST_WAIT_SECONDS = 30
BATCH = 50
"""Documents of one transaction: it may have 100, and 2 MB."""
BATCH_LENGTH = 80_000
"""Characters of one transaction's texts, for the same reason as `PART_LENGTH`."""
INDEXING: dict[str, Any] = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/*"}],
    # Nothing looks for these, and an index of them would double what a message costs.
    "excludedPaths": [{"path": "/message/*"}, {"path": "/content/?"}, {"path": '/"_etag"/?'}],
}


class Container:
    """The documents of a place; whatever goes wrong with it is told as a HistoryError."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._opening = asyncio.Lock()
        self._opened: ContainerProxy | None = None
        self._open = contextlib.AsyncExitStack()

    async def get(self, partition: str, document_id: str) -> Document | None:
        """A document, or None if it is not there."""
        from azure.cosmos.exceptions import CosmosResourceNotFoundError

        container = await self.opened()
        with explained(self.place):
            try:
                return dict(await container.read_item(document_id, partition))
            except CosmosResourceNotFoundError:
                return None

    async def create(self, document: Document) -> Document | None:
        """Add a document, and return it as it is kept; None if there is one of its id."""
        from azure.cosmos.exceptions import CosmosResourceExistsError

        container = await self.opened()
        with explained(self.place):
            try:
                return dict(await container.create_item(document))
            except CosmosResourceExistsError:
                return None

    async def create_all(self, documents: Sequence[Document]) -> bool:
        """Add documents of one partition in as few transactions as can be; False if one was there already."""
        for batch in _batches(documents):
            if len(batch) == 1:
                if await self.create(batch[0]) is None:
                    return False
            elif not await self._create_batch(batch):
                return False
        return True

    async def replace(self, document: Document, read: Document) -> Document | None:
        """Put a document in the place of the one that was read; None if that has changed, or is gone."""
        from azure.core import MatchConditions
        from azure.cosmos.exceptions import CosmosAccessConditionFailedError, CosmosResourceNotFoundError

        container = await self.opened()
        with explained(self.place):
            try:
                replaced = await container.replace_item(
                    read["id"], document, etag=read["_etag"], match_condition=MatchConditions.IfNotModified
                )
            except (CosmosAccessConditionFailedError, CosmosResourceNotFoundError):
                return None
            return dict(replaced)

    async def delete(self, partition: str, document_id: str) -> None:
        """Remove a document; one that is gone already is no error."""
        from azure.cosmos.exceptions import CosmosResourceNotFoundError

        container = await self.opened()
        with explained(self.place), contextlib.suppress(CosmosResourceNotFoundError):
            await container.delete_item(document_id, partition)

    async def query(self, partition: str, where: str, **values: object) -> AsyncIterator[Document]:
        """The documents of a partition of which the condition holds."""
        token: str | None = None
        while True:
            documents, token = await self.page(partition, where, None, token, **values)
            for document in documents:
                yield document
            if token is None:
                return

    async def page(
        self, partition: str, where: str, limit: int | None, token: str | None, **values: object
    ) -> tuple[list[Document], str | None]:
        """Some of the documents, at most `limit`, and the token with which the next ones are asked for.

        A page may have fewer although there are more: only the token tells.
        """
        container = await self.opened()
        with explained(self.place):
            pages = container.query_items(
                f"SELECT * FROM c WHERE c.partitionKey = @partition AND {where}",  # noqa: S608 - of our own; values are bound
                parameters=_parameters(partition=partition, **values),
                partition_key=partition,
                max_item_count=limit,
            ).by_page(token)
            try:
                page = await anext(pages)
            except StopAsyncIteration:
                return [], None
            documents = [dict(document) async for document in page]
            following: str | None = pages.continuation_token  # type: ignore[attr-defined]
            return documents, following or None

    async def opened(self) -> ContainerProxy:
        """The container, made with its database where it is not there."""
        async with self._opening:
            if self._opened is None:
                try:
                    with explained(self.place):
                        self._opened = await self._made(await self._connect())
                except BaseException:
                    await self._open.aclose()
                    raise
            return self._opened

    async def is_there(self) -> bool:
        """Whether the container is there already; nothing is made."""
        from azure.cosmos.exceptions import CosmosResourceNotFoundError

        with explained(self.place):
            container = self._found(await self._connect())
            try:
                await container.read()
            except CosmosResourceNotFoundError:
                return False
        return True

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._open.aclose()
        self._opened = None

    async def _connect(self) -> CosmosClient:
        from azure.cosmos.aio import CosmosClient

        here = self.place.here
        client = CosmosClient(
            self.place.endpoint,
            credential=await self._credential(),
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retry_total=1,
            retry_throttle_total=THROTTLED,
            retry_throttle_backoff_max=LONGEST_WAIT_SECONDS,
            # An emulator tells an address of its own that need not be the one it is reached by, and
            # signs its certificate itself. Of every other place both are checked.
            enable_endpoint_discovery=not here,
            connection_verify=not here,
        )
        # It opens a connection before it asks for anything, and leaves it open where that fails.
        self._open.push_async_exit(client)
        await client.__aenter__()
        return client

    def _found(self, client: CosmosClient) -> ContainerProxy:
        database = client.get_database_client(self.place.database)
        return database.get_container_client(self.place.container)

    async def _credential(self) -> str | AsyncTokenCredential:
        if self.place.key:
            return self.place.key.get_secret_value()
        from azure.identity.aio import DefaultAzureCredential

        return await self._open.enter_async_context(DefaultAzureCredential())

    async def _made(self, client: CosmosClient) -> ContainerProxy:
        from azure.cosmos import PartitionKey
        from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError

        place = self.place
        container = self._found(client)
        try:
            await container.read()
            return container
        except CosmosResourceNotFoundError:
            pass
        try:
            database = await client.create_database_if_not_exists(place.database)
            made: ContainerProxy = await database.create_container_if_not_exists(
                place.container,
                partition_key=PartitionKey("/partitionKey"),
                indexing_policy=INDEXING,
                default_ttl=place.ttl_seconds,
                offer_throughput=place.throughput,
            )
            return made
        except CosmosHttpResponseError as error:
            if error.status_code != 403:
                raise
            raise HistoryError(
                f"{place} is not there yet, and only a key may make it that way.",
                "phichat secret set history.key, or: az cosmosdb sql database create … and"
                f" az cosmosdb sql container create --name {place.container}"
                f" --database-name {place.database} --partition-key-path /partitionKey …",
            ) from error

    async def _create_batch(self, documents: Sequence[Document]) -> bool:
        from azure.cosmos.exceptions import CosmosBatchOperationError

        container = await self.opened()
        operations: list[Any] = [("create", (document,)) for document in documents]
        with explained(self.place):
            try:
                await container.execute_item_batch(operations, partition_key=documents[0]["partitionKey"])
            except CosmosBatchOperationError as error:
                if error.operation_responses[error.error_index]["statusCode"] == 409:
                    return False
                raise
        return True


def _parameters(**values: object) -> list[dict[str, object]]:
    return [{"name": f"@{name}", "value": value} for name, value in values.items()]


def _batches(documents: Sequence[Document]) -> list[list[Document]]:
    batches: list[list[Document]] = []
    length = 0
    for document in documents:
        size = len(document.get("content") or document.get("message", {}).get("content", ""))
        if not batches or len(batches[-1]) == BATCH or length + size > BATCH_LENGTH:
            batches.append([])
            length = 0
        batches[-1].append(document)
        length += size
    return batches
