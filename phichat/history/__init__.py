"""Conversations, kept: a tree of messages each, in a store that several programs can use at once."""

from __future__ import annotations

from phichat.history.answer import Answer
from phichat.history.base import HistoryStore
from phichat.history.log import ConversationLog
from phichat.history.tree import Transcript
from phichat.history.values import Conversation, Hit, Merged, Page, Snippet, StoredMessage, Sync

__all__ = [
    "Answer",
    "Conversation",
    "ConversationLog",
    "HistoryStore",
    "Hit",
    "Merged",
    "Page",
    "Snippet",
    "StoredMessage",
    "Sync",
    "Transcript",
]
