"""Conversations in Azure Cosmos DB, one document a message."""

from __future__ import annotations

from phichat.history.cosmos.place import Place
from phichat.history.cosmos.store import CosmosStore

__all__ = ["CosmosStore", "Place"]
