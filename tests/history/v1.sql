-- A store as the first version of its schema had it. Frozen: migrations start from files like this one.
CREATE TABLE projects (key INTEGER PRIMARY KEY, folder TEXT NOT NULL UNIQUE);
CREATE TABLE conversations (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    project INTEGER NOT NULL REFERENCES projects,
    title TEXT NOT NULL,
    system TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    leaf TEXT,
    deleted REAL
);
CREATE INDEX conversations_by_update ON conversations (updated, id) WHERE deleted IS NULL;
CREATE INDEX conversations_of_project ON conversations (project, updated, id) WHERE deleted IS NULL;
CREATE TABLE messages (
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
);
CREATE INDEX messages_not_indexed ON messages (key) WHERE NOT indexed;
CREATE VIRTUAL TABLE message_index USING fts5(
    content,
    content='messages', content_rowid='key',
    tokenize='unicode61 remove_diacritics 2', prefix='2'
);
CREATE TRIGGER message_added AFTER INSERT ON messages WHEN new.indexed BEGIN
    INSERT INTO message_index (rowid, content) VALUES (new.key, new.content);
END;
CREATE TRIGGER message_changed AFTER UPDATE OF content, indexed ON messages BEGIN
    INSERT INTO message_index (message_index, rowid, content)
        SELECT 'delete', old.key, old.content WHERE old.indexed;
    INSERT INTO message_index (rowid, content)
        SELECT new.key, new.content WHERE new.indexed;
END;
CREATE TRIGGER message_removed AFTER DELETE ON messages WHEN old.indexed BEGIN
    INSERT INTO message_index (message_index, rowid, content)
        VALUES ('delete', old.key, old.content);
END;
INSERT INTO projects VALUES (1, ''), (2, '/home/me/lighthouse');
INSERT INTO conversations VALUES
    (1, '0199b3c4-0000-7000-8000-000000000001', 2, 'The lighthouse', 'Be brief.', 100.5, 130.25,
        '0199b3c4-0000-7000-8000-000000000013', NULL),
    (2, '0199b3c4-0000-7000-8000-000000000002', 1, 'Deleted', '', 200.0, 200.0, NULL, 300.0);
INSERT INTO messages VALUES
    (1, 1, '0199b3c4-0000-7000-8000-000000000011', NULL, 'user', 'complete', 110.0, 1,
        '', '', '', '', NULL, NULL, NULL, NULL, '', 'Who built the lighthouse?'),
    (2, 1, '0199b3c4-0000-7000-8000-000000000012', '0199b3c4-0000-7000-8000-000000000011', 'assistant',
        'stopped', 120.0, 1, 'local', 'base', 'smollm2', 'abc',
        '{"max_new_tokens":512,"temperature":0.7,"top_p":1.0,"seed":7,"stop":["x"],"an_old_option":1}',
        NULL, NULL, NULL, '', 'The lighthouse was bu'),
    (3, 1, '0199b3c4-0000-7000-8000-000000000013', '0199b3c4-0000-7000-8000-000000000011', 'assistant',
        'complete', 130.25, 1, 'local', 'base', 'smollm2', 'abc', NULL,
        '{"prompt_tokens":12,"completion_tokens":9,"finish_reason":"stop"}', 0.25, 31.5, '',
        'Ada Moreau, in 1887.'),
    (4, 1, '0199b3c4-0000-7000-8000-000000000014', '0199b3c4-0000-7000-8000-000000000013', 'assistant',
        'partial', 140.0, 0, 'local', 'base', 'smollm2', 'abc', NULL, NULL, NULL, NULL, '',
        'It was being written when');
PRAGMA user_version = 1;
