"""Conversations that lie elsewhere, with a copy on this machine that works without a network."""

from __future__ import annotations

from phichat.history.synced.store import SyncedStore

__all__ = ["SyncedStore"]
