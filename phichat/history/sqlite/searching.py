"""What the SQLite store finds: titles first, then messages, each by how well they match."""

from __future__ import annotations

import sqlite3

from phichat.history.search import Query
from phichat.history.sqlite.reading import conversation_by_key
from phichat.history.values import Hit, storable

CANDIDATES = 1000
"""Of a search with more matches, the newest so many are ranked: a word that is in every other message
has half a million matches, and to rank them all takes 1.7 s of CPU (measured in a million messages)."""


def find(connection: sqlite3.Connection, query: Query, project: str | None, limit: int) -> list[Hit]:
    """The best matches in one project, or in all."""
    scope = None
    if project is not None:
        found = connection.execute(
            "SELECT key FROM projects WHERE folder = ?", (storable(project),)
        ).fetchone()
        if found is None:
            return []
        scope = int(found[0])
    if not query.terms:
        return []
    # At most half are titles: a word that is in many of them must not hide what was said.
    hits = _titles(connection, query, scope, (limit + 1) // 2)
    return hits + _messages(connection, query, scope, limit - len(hits))


def _titles(connection: sqlite3.Connection, query: Query, scope: int | None, limit: int) -> list[Hit]:
    sql, values = _statement("title", "conversations", query, scope)
    rows = connection.execute(
        f"""SELECT c.key FROM ({sql}) AS found
            JOIN conversations AS c ON c.key = found.key
            WHERE c.deleted IS NULL ORDER BY found.rank, c.updated DESC LIMIT ?""",
        (*values, limit),
    ).fetchall()
    found = [conversation_by_key(connection, key) for (key,) in rows]
    return [Hit(conversation, query.snippet(conversation.title)) for conversation in found]


def _messages(connection: sqlite3.Connection, query: Query, scope: int | None, limit: int) -> list[Hit]:
    sql, values = _statement("content", "messages", query, scope)
    rows = connection.execute(
        f"""SELECT c.key, CAST(m.content AS TEXT), m.id FROM ({sql}) AS found
            JOIN messages AS m ON m.key = found.key
            JOIN conversations AS c ON c.key = m.conversation
            WHERE c.deleted IS NULL ORDER BY found.rank, m.key DESC LIMIT ?""",
        (*values, limit),
    ).fetchall()
    return [Hit(conversation_by_key(connection, key), query.snippet(text), name) for key, text, name in rows]


def _statement(column: str, table: str, query: Query, scope: int | None) -> tuple[str, list[str | int]]:
    """A query for the keys and ranks of the newest matches, and its parameters."""
    if query.indexed:
        index = "title_index" if column == "title" else "message_index"
        match = f"{{{column}}} : ({query.fts()})"
        if scope is not None:
            match += f' AND project : "{scope}"'
        return (
            f"""SELECT rowid AS key, bm25({index}, 1.0, 0.0) AS rank FROM {index}
                WHERE {index} MATCH ? ORDER BY rowid DESC LIMIT {CANDIDATES}""",
            [match],
        )
    # Words of a script without spaces, or signs: no index has them, so every text is read.
    patterns = query.like()
    where = " AND ".join([f"{column} LIKE ? ESCAPE '\\'"] * len(patterns))
    if scope is not None:
        where += f" AND project = {scope}"
    return (
        f"SELECT key, 0 AS rank FROM {table} WHERE {where} ORDER BY key DESC LIMIT {CANDIDATES}",
        list(patterns),
    )
