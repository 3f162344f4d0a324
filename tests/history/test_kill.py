"""Killed at any moment, a program loses nothing that it has shown."""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from phichat.history import StoredMessage
from phichat.history.sqlite import SqliteStore
from tests.history.processes import lines, program

KILLS = int(os.environ.get("HISTORY_KILLS", "6"))


def shown_until_killed(path: Path, chance: random.Random) -> list[dict[str, Any]]:
    """What a chatting program had acknowledged when it was killed at a random moment."""
    with program("chatter", path, str(chance.random())) as process:
        before = list(itertools.islice(lines(process.stdout), chance.randrange(1, 300)))
        time.sleep(chance.random() / 200)  # anywhere within a write, not only right after a line
        process.kill()
        shown = before + list(lines(process.stdout))
        assert process.stderr and not process.stderr.read()
    return shown


async def stored(path: Path) -> dict[str, StoredMessage]:
    """All messages by their ids."""
    store = SqliteStore(path)
    try:
        return {
            message.id: message
            async for conversation in store.conversations()
            for message in (await store.read(conversation.id)).messages
        }
    finally:
        await store.aclose()


def check(shown: Iterable[dict[str, Any]], messages: dict[str, StoredMessage]) -> Counter[str]:
    """Everything that was shown is there, and marked as what it is; returns how many of each state."""
    latest = {line["message"]: line for line in shown}
    for line in latest.values():
        message = messages[line["message"]]
        if line["state"] == "complete" or message.state == "stopped":
            assert message.content == line["text"]
        assert message.content.startswith(line["text"])
        assert message.state == "complete" or line["state"] != "complete"
    return Counter(message.state for message in messages.values())


@pytest.mark.timeout(60 + 2 * KILLS)
async def test_what_was_shown_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    shown: list[dict[str, Any]] = []
    for killed in range(1, KILLS + 1):
        shown += shown_until_killed(path, chance)
        messages = await stored(path)
        states = check(shown, messages)
        # An answer that was stopped by its reader is finished; only a killed one stays partial.
        assert states["partial"] <= killed and not states["failed"], f"seed {seed}"
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], f"seed {seed}"
            connection.execute("INSERT INTO message_index (message_index) VALUES ('integrity-check')")
        connection.close()
    assert shown
