"""The Cosmos DB store, on a server of its protocol: the suite of all stores, and what else it does."""

from __future__ import annotations

import pytest

from phichat.history import HistoryStore
from phichat.history.cosmos import CosmosStore
from tests.history.cosmos import Server, cosmos_server
from tests.history.store_suite import StoreSuite

__all__ = ["cosmos_server"]


class TestCosmos(StoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self, cosmos_server: Server) -> None:
        self.place = cosmos_server.place()

    async def open_store(self) -> HistoryStore:
        return CosmosStore(self.place)
