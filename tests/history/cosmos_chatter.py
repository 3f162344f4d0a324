"""A program that chats into a synced store until it is killed, and prints what it has shown.

`cosmos_chatter FOLDER ENDPOINT CONTAINER SEED`. All hold one conversation first, then each its own.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from pydantic import SecretStr

from phichat.history import Conversation, ConversationLog
from phichat.history.cosmos import CosmosStore, Place
from phichat.history.sqlite import SqliteStore
from phichat.history.synced import SyncedStore
from phichat.history.synced.journal import Journal
from tests.history.chatter import chat
from tests.history.cosmos import KEY

TOGETHER = "01900000-0000-7000-8000-000000000000"


async def main(folder: Path, place: Place, seed: str) -> None:
    """Chat until killed."""
    chance = random.Random(seed)
    local, journal = SqliteStore(folder / "copy.db"), Journal(folder / "copy.journal")
    store = SyncedStore(local, CosmosStore(place), journal)
    await store.create(Conversation(id=TOGETHER, title="Together", created=0.0))
    log = await ConversationLog.resume(store, TOGETHER)
    while True:
        for _ in range(3):
            await chat(log, chance)
            await asyncio.sleep(0)
        log = ConversationLog(store, Conversation(project=f"/p{chance.randrange(3)}"))


if __name__ == "__main__":
    there = Place(sys.argv[2], "me", SecretStr(KEY), container=sys.argv[3])
    asyncio.run(main(Path(sys.argv[1]), there, sys.argv[4]))
