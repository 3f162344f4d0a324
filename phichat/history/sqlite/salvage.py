"""Reads what can still be read of a damaged store, row by row."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from phichat.history.tree import Transcript
from phichat.history.values import Conversation, StoredMessage

GIVE_UP = 5_000
"""Attempts in a row that find nothing readable, after which a table is at its end."""
NAMELESS = "Recovered"
"""The title of a conversation of which only messages are left."""

Row = dict[str, Any]


def salvage(path: Path) -> Iterator[Transcript]:
    """The conversations of a damaged file, of whatever version, with the messages that are readable.

    Give it a copy: SQLite writes even where one only reads.
    """
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        projects = {row["key"]: row["folder"] for row in _rows(connection, "projects")}
        conversations = {row["key"]: row for row in _rows(connection, "conversations")}
        messages: dict[Any, dict[int, None]] = defaultdict(dict)
        for row in _rows(connection, "messages", "key, conversation"):
            messages[row["conversation"]][row["key"]] = None
        for key in {**conversations, **messages}:
            found = _conversation(conversations.get(key, {}), projects)
            rows = filter(None, (_row(connection, each) for each in messages[key]))
            yield _transcript(found, [message for row in rows if (message := _message(row, found))])


def _rows(connection: sqlite3.Connection, table: str, columns: str = "*") -> Iterator[Row]:
    """The rows of a table, around those that cannot be read."""
    after = f"SELECT {columns} FROM {table} WHERE key > ? ORDER BY key"
    key = failures = 0
    while failures <= GIVE_UP:
        try:
            for row in connection.execute(after, (key,)):
                yield dict(row)
                key, failures = max(key, row["key"]), 0
        except (sqlite3.Error, OverflowError):
            failures += 1
            # Larger steps in a larger hole: it may be a hundred thousand rows wide.
            key += 1 + failures // 100
        else:
            return


def _row(connection: sqlite3.Connection, key: int) -> Row | None:
    """One message, with its text."""
    try:
        row = connection.execute("SELECT * FROM messages WHERE key = ?", (key,)).fetchone()
    except sqlite3.Error:
        return None
    return dict(row) if row else None


def _conversation(row: Row, projects: Mapping[int, str]) -> Conversation:
    try:
        return Conversation.model_validate({**row, "project": projects.get(row["project"], "")})
    except (KeyError, TypeError, ValidationError):
        return Conversation(title=NAMELESS)


def _message(row: Row, conversation: Conversation) -> StoredMessage | None:
    fields = {**row, "conversation_id": conversation.id, "parent_id": row.get("parent")}
    for name in ("options", "usage"):
        try:
            fields[name] = json.loads(row[name]) if row[name] else None
        except ValueError:
            fields[name] = None
    try:
        return StoredMessage.model_validate(fields)
    except ValidationError:
        return None


def _transcript(conversation: Conversation, messages: list[StoredMessage]) -> Transcript:
    """A tree of what is left: a message whose parent is lost begins a branch."""
    by_id = {message.id: message for message in messages}
    whole = [
        message if message.parent_id in by_id else message.model_copy(update={"parent_id": None})
        for message in by_id.values()
    ]
    leaf = conversation.leaf if conversation.leaf in by_id else None
    if leaf is None and whole:
        leaf = whole[-1].id
    transcript = Transcript(conversation.model_copy(update={"leaf": leaf}), tuple(whole))
    try:
        transcript.check()
    except ValueError:  # a circle: the texts are what matters
        roots = tuple(message.model_copy(update={"parent_id": None}) for message in whole)
        return Transcript(transcript.conversation, roots)
    return transcript
