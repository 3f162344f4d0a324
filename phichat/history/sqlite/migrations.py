"""The schema of the SQLite store, as the steps from each version to the next."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

STEPS: Sequence[Sequence[str]] = (
    (  # 0 → 1
        "CREATE TABLE projects (key INTEGER PRIMARY KEY, folder TEXT NOT NULL UNIQUE)",
        """CREATE TABLE conversations (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            project INTEGER NOT NULL REFERENCES projects,
            title TEXT NOT NULL,
            system TEXT NOT NULL,
            created REAL NOT NULL,
            updated REAL NOT NULL,
            leaf TEXT,
            deleted REAL
        )""",
        "CREATE INDEX conversations_by_update ON conversations (updated, id) WHERE deleted IS NULL",
        """CREATE INDEX conversations_of_project ON conversations (project, updated, id)
            WHERE deleted IS NULL""",
        # The text is the last column: what a row has before it can be read without the text's own pages.
        """CREATE TABLE messages (
            key INTEGER PRIMARY KEY,
            conversation INTEGER NOT NULL REFERENCES conversations,
            id TEXT NOT NULL,
            parent TEXT,
            role TEXT NOT NULL,
            state TEXT NOT NULL,
            created REAL NOT NULL,
            indexed INTEGER NOT NULL,
            backend TEXT NOT NULL,
            deployment TEXT NOT NULL,
            model TEXT NOT NULL,
            template_hash TEXT NOT NULL,
            options TEXT,
            usage TEXT,
            ttft_s REAL,
            tokens_per_s REAL,
            detail TEXT NOT NULL,
            content TEXT NOT NULL,
            UNIQUE (conversation, id)
        )""",
        # An answer that is being written changes many times a second: it is indexed when it is finished.
        "CREATE INDEX messages_not_indexed ON messages (key) WHERE NOT indexed",
        """CREATE VIRTUAL TABLE message_index USING fts5(
            content,
            content='messages', content_rowid='key',
            tokenize='unicode61 remove_diacritics 2', prefix='2'
        )""",
        """CREATE TRIGGER message_added AFTER INSERT ON messages WHEN new.indexed BEGIN
            INSERT INTO message_index (rowid, content) VALUES (new.key, new.content);
        END""",
        """CREATE TRIGGER message_changed AFTER UPDATE OF content, indexed ON messages BEGIN
            INSERT INTO message_index (message_index, rowid, content)
                SELECT 'delete', old.key, old.content WHERE old.indexed;
            INSERT INTO message_index (rowid, content)
                SELECT new.key, new.content WHERE new.indexed;
        END""",
        """CREATE TRIGGER message_removed AFTER DELETE ON messages WHEN old.indexed BEGIN
            INSERT INTO message_index (message_index, rowid, content)
                VALUES ('delete', old.key, old.content);
        END""",
    ),
    (  # 1 → 2: merging with other stores, titles that are found, one project's messages without all others
        "ALTER TABLE conversations ADD COLUMN revised REAL NOT NULL DEFAULT 0",
        "UPDATE conversations SET revised = max(updated, coalesce(deleted, 0))",
        "ALTER TABLE messages ADD COLUMN project INTEGER NOT NULL DEFAULT 0",
        "DROP TRIGGER message_added",
        "DROP TRIGGER message_changed",
        "DROP TRIGGER message_removed",
        "DROP TABLE message_index",
        """UPDATE messages SET project =
            (SELECT c.project FROM conversations AS c WHERE c.key = messages.conversation)""",
        # The project is a word of the index: a common word in a small project is found without passing
        # through all the other projects' messages (180 ms of CPU in a million messages, measured).
        """CREATE VIRTUAL TABLE message_index USING fts5(
            content, project,
            content='messages', content_rowid='key',
            tokenize='unicode61 remove_diacritics 2', prefix='2'
        )""",
        """INSERT INTO message_index (rowid, content, project)
            SELECT key, content, project FROM messages WHERE indexed""",
        """CREATE TRIGGER message_added AFTER INSERT ON messages WHEN new.indexed BEGIN
            INSERT INTO message_index (rowid, content, project) VALUES (new.key, new.content, new.project);
        END""",
        """CREATE TRIGGER message_changed AFTER UPDATE OF content, indexed ON messages BEGIN
            INSERT INTO message_index (message_index, rowid, content, project)
                SELECT 'delete', old.key, old.content, old.project WHERE old.indexed;
            INSERT INTO message_index (rowid, content, project)
                SELECT new.key, new.content, new.project WHERE new.indexed;
        END""",
        """CREATE TRIGGER message_removed AFTER DELETE ON messages WHEN old.indexed BEGIN
            INSERT INTO message_index (message_index, rowid, content, project)
                VALUES ('delete', old.key, old.content, old.project);
        END""",
        """CREATE VIRTUAL TABLE title_index USING fts5(
            title, project,
            content='conversations', content_rowid='key',
            tokenize='unicode61 remove_diacritics 2', prefix='2'
        )""",
        "INSERT INTO title_index (title_index) VALUES ('rebuild')",
        """CREATE TRIGGER conversation_added AFTER INSERT ON conversations BEGIN
            INSERT INTO title_index (rowid, title, project) VALUES (new.key, new.title, new.project);
        END""",
        """CREATE TRIGGER conversation_renamed AFTER UPDATE OF title ON conversations BEGIN
            INSERT INTO title_index (title_index, rowid, title, project)
                VALUES ('delete', old.key, old.title, old.project);
            INSERT INTO title_index (rowid, title, project) VALUES (new.key, new.title, new.project);
        END""",
        """CREATE TRIGGER conversation_removed AFTER DELETE ON conversations BEGIN
            INSERT INTO title_index (title_index, rowid, title, project)
                VALUES ('delete', old.key, old.title, old.project);
        END""",
    ),
)
VERSION = len(STEPS)


def version(connection: sqlite3.Connection) -> int:
    """The version of the schema that a file has; 0: none yet."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(connection: sqlite3.Connection, upto: int = VERSION) -> None:
    """Bring a file to a version of the schema, all of it or nothing; two processes do it once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS[version(connection) : upto]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(upto, version(connection))}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
