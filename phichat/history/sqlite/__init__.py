"""Conversations in one SQLite file on this machine: the default store."""

from __future__ import annotations

from phichat.history.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
