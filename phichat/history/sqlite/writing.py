"""What the SQLite store writes; each function is called inside a transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence

from phichat.errors import NotFoundError
from phichat.history.sqlite import reading
from phichat.history.sqlite.rows import CONVERSATION, MESSAGE, OUTCOME_ASSIGNMENTS, parameters
from phichat.history.tree import Transcript, merge
from phichat.history.values import Conversation, Merged, StoredMessage, storable

# An answer that is being written changes many times a second: the index takes it when it is finished.
_MESSAGE_VALUES = ", ".join(f":{name}" for name in MESSAGE)
_INSERT_MESSAGE = f"""INSERT OR IGNORE INTO messages
    (conversation, project, indexed, {", ".join(MESSAGE).replace("parent_id", "parent")})
    VALUES (:conversation, :project, :state <> 'partial', {_MESSAGE_VALUES})"""
_FINISH = f"""UPDATE messages SET {OUTCOME_ASSIGNMENTS}, indexed = :state <> 'partial'
    WHERE conversation = :conversation AND id = :id"""


def insert_conversation(connection: sqlite3.Connection, conversation: Conversation) -> None:
    """Add a conversation, unless it is there."""
    connection.execute("INSERT OR IGNORE INTO projects (folder) VALUES (?)", (conversation.project,))
    connection.execute(
        """INSERT OR IGNORE INTO conversations
            (id, project, title, system, created, updated, revised, leaf, deleted)
            VALUES (:id, (SELECT key FROM projects WHERE folder = :project), :title, :system,
                :created, :updated, :revised, :leaf, :deleted)""",
        {name: getattr(conversation, name) for name in CONVERSATION},
    )


def rename(connection: sqlite3.Connection, conversation_id: str, title: str) -> None:
    """Give a conversation another title."""
    _decide(connection, conversation_id, "title = ?", storable(title))


def delete(connection: sqlite3.Connection, conversation_id: str) -> None:
    """Mark a conversation as deleted; a second time leaves the time of the first."""
    _decide(connection, conversation_id, "deleted = coalesce(deleted, ?)", time.time())


def undelete(connection: sqlite3.Connection, conversation_id: str) -> None:
    """Take the mark away."""
    _decide(connection, conversation_id, "deleted = ?", None)


def select(connection: sqlite3.Connection, conversation_id: str, leaf: str) -> None:
    """Show the branch that ends with a message."""
    conversation, _ = _keys(connection, conversation_id)
    _require_message(connection, conversation, conversation_id, leaf)
    connection.execute("UPDATE conversations SET leaf = ? WHERE key = ?", (leaf, conversation))


def purge(connection: sqlite3.Connection, conversation_id: str) -> None:
    """Remove a conversation and its messages."""
    found = connection.execute("SELECT key FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
    if found:
        connection.execute("DELETE FROM messages WHERE conversation = ?", found)
        connection.execute("DELETE FROM conversations WHERE key = ?", found)


def purge_unchanged(connection: sqlite3.Connection, known: Transcript) -> bool:
    """Remove a conversation if it is still as it is known; whether it is gone."""
    try:
        there = reading.transcript(connection, known.conversation.id)
    except NotFoundError:
        return True
    if there != known:
        return False
    purge(connection, known.conversation.id)
    return True


def append(connection: sqlite3.Connection, message: StoredMessage) -> None:
    """Add a message, unless it is there, and show its branch."""
    conversation, project = _keys(connection, message.conversation_id)
    if message.parent_id is not None:
        _require_message(connection, conversation, message.conversation_id, message.parent_id)
    if not _insert_messages(connection, conversation, project, [message]):
        return
    connection.execute(
        """UPDATE conversations SET leaf = :id, updated = max(updated, :created),
            revised = CASE WHEN deleted IS NULL THEN revised ELSE max(revised, :now) END, deleted = NULL
            WHERE key = :key""",
        {"id": message.id, "created": message.created, "now": time.time(), "key": conversation},
    )


def extend(connection: sqlite3.Connection, conversation_id: str, message_id: str, text: str) -> None:
    """Add text to the end of a partial message."""
    changed = connection.execute(
        """UPDATE messages SET content = content || ?, indexed = 0
            WHERE conversation = (SELECT key FROM conversations WHERE id = ?) AND id = ?
                AND state = 'partial'""",
        (storable(text), conversation_id, message_id),
    ).rowcount
    if not changed:
        raise NotFoundError(f"No answer {message_id!r} is being written in {conversation_id!r}.")


def finish(connection: sqlite3.Connection, message: StoredMessage) -> None:
    """Replace a partial message by what became of it."""
    conversation, _ = _keys(connection, message.conversation_id)
    values = {**parameters(message), "conversation": conversation}
    if not connection.execute(f"{_FINISH} AND state = 'partial'", values).rowcount:
        _require_message(connection, conversation, message.conversation_id, message.id)


def merge_in(connection: sqlite3.Connection, transcripts: Sequence[Transcript]) -> Merged:
    """Take in copies of conversations from elsewhere."""
    added = changed = 0
    for theirs in transcripts:
        try:
            ours = reading.transcript(connection, theirs.conversation.id)
        except NotFoundError:
            _insert(connection, theirs)
            added += 1
        else:
            changed += _update(connection, ours, merge(ours, theirs))
    return Merged(added, changed, len(transcripts) - added - changed)


def _insert(connection: sqlite3.Connection, transcript: Transcript) -> None:
    """Add a whole conversation."""
    insert_conversation(connection, transcript.conversation)
    conversation, project = _keys(connection, transcript.conversation.id)
    _insert_messages(connection, conversation, project, transcript.messages)


def _update(connection: sqlite3.Connection, ours: Transcript, merged: Transcript) -> bool:
    """Write what a merge changed; whether it changed anything."""
    if merged == ours:
        return False
    conversation, project = _keys(connection, ours.conversation.id)
    connection.execute(
        """UPDATE conversations SET title = :title, system = :system, created = :created,
            updated = :updated, revised = :revised, leaf = :leaf, deleted = :deleted
            WHERE id = :id""",
        merged.conversation.model_dump(),
    )
    known = {message.id: message for message in ours.messages}
    new = [message for message in merged.messages if message.id not in known]
    _insert_messages(connection, conversation, project, new)
    for message in merged.messages:
        if known.get(message.id, message) != message:
            connection.execute(_FINISH, {**parameters(message), "conversation": conversation})
    return True


def _insert_messages(
    connection: sqlite3.Connection, conversation: int, project: int, messages: Iterable[StoredMessage]
) -> int:
    """Add the messages that are not there; returns how many that were."""
    return connection.executemany(
        _INSERT_MESSAGE,
        ({**parameters(message), "conversation": conversation, "project": project} for message in messages),
    ).rowcount


def _decide(
    connection: sqlite3.Connection, conversation_id: str, assignment: str, value: str | float | None
) -> None:
    """Note what a person decided about a conversation, and when."""
    changed = connection.execute(
        f"UPDATE conversations SET {assignment}, revised = max(revised, ?) WHERE id = ?",
        (value, time.time(), conversation_id),
    ).rowcount
    if not changed:
        raise reading.unknown(conversation_id)


def _keys(connection: sqlite3.Connection, conversation_id: str) -> tuple[int, int]:
    """The keys of a conversation and of its project."""
    found: tuple[int, int] | None = connection.execute(
        "SELECT key, project FROM conversations WHERE id = ?", (conversation_id,)
    ).fetchone()
    if found is None:
        raise reading.unknown(conversation_id)
    return found


def _require_message(
    connection: sqlite3.Connection, conversation: int, conversation_id: str, message_id: str
) -> None:
    found = connection.execute(
        "SELECT 1 FROM messages WHERE conversation = ? AND id = ?", (conversation, message_id)
    ).fetchone()
    if found is None:
        raise NotFoundError(f"The conversation {conversation_id} has no message {message_id!r}.")
