"""The SQLite store: the suite of all stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from phichat.history import HistoryStore
from phichat.history.sqlite import SqliteStore
from tests.history.store_suite import StoreSuite


class TestSqlite(StoreSuite):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "data" / "conversations.db"

    async def open_store(self) -> HistoryStore:
        return SqliteStore(self.path)
