"""What the SQLite store reads: conversations, their lists, and their messages."""

from __future__ import annotations

import sqlite3

from phichat.errors import NotFoundError
from phichat.history.base import Order
from phichat.history.sqlite.rows import (
    CONVERSATION_COLUMNS,
    MESSAGE_COLUMNS,
    conversation_from,
    message_from,
)
from phichat.history.tree import Transcript
from phichat.history.values import Conversation, Page, storable

_CONVERSATIONS = f"SELECT {CONVERSATION_COLUMNS} FROM conversations AS c CROSS JOIN projects AS p"


def conversation(connection: sqlite3.Connection, conversation_id: str) -> Conversation:
    """A conversation without its messages."""
    row = connection.execute(
        f"{_CONVERSATIONS} WHERE p.key = c.project AND c.id = ?", (storable(conversation_id),)
    ).fetchone()
    if row is None:
        raise unknown(conversation_id)
    return conversation_from(row)


def conversation_by_key(connection: sqlite3.Connection, key: int) -> Conversation:
    """A conversation by its place in the table."""
    where = "WHERE p.key = c.project AND c.key = ?"
    return conversation_from(connection.execute(f"{_CONVERSATIONS} {where}", (key,)).fetchone())


def transcript(connection: sqlite3.Connection, conversation_id: str) -> Transcript:
    """A conversation with all its messages."""
    found = conversation(connection, conversation_id)
    messages = connection.execute(
        f"""SELECT {MESSAGE_COLUMNS} FROM messages
            WHERE conversation = (SELECT key FROM conversations WHERE id = ?)
            ORDER BY created, id""",
        (found.id,),
    )
    return Transcript(found, tuple(message_from(row, found.id) for row in messages))


def page(
    connection: sqlite3.Connection,
    project: str | None,
    deleted: bool,
    order: Order,
    limit: int,
    cursor: str | None,
) -> Page:
    """Conversations from after the one that the cursor names."""
    where = ["p.key = c.project", f"c.deleted IS {'NOT ' if deleted else ''}NULL"]
    values: list[str | float] = []
    if project is not None:
        where.append("c.project = (SELECT key FROM projects WHERE folder = ?)")
        values.append(storable(project))
    if cursor is not None and order == "updated":
        updated, _, last = cursor.partition(" ")
        where.append("(c.updated, c.id) < (?, ?)")
        values += [float(updated), last]
    elif cursor is not None:
        where.append("c.id > ?")
        values.append(cursor)
    by = "c.updated DESC, c.id DESC" if order == "updated" else "c.id"
    statement = f"{_CONVERSATIONS} WHERE {' AND '.join(where)} ORDER BY {by} LIMIT ?"
    found = [conversation_from(row) for row in connection.execute(statement, (*values, limit + 1))]
    return Page(found[:limit], _cursor(found[limit - 1], order) if len(found) > limit else None)


def unknown(conversation_id: str) -> NotFoundError:
    """The error of a conversation that is not there."""
    return NotFoundError(f"There is no conversation {conversation_id!r}.", "phichat history list --all")


def _cursor(conversation: Conversation, order: Order) -> str:
    return f"{conversation.updated!r} {conversation.id}" if order == "updated" else conversation.id
