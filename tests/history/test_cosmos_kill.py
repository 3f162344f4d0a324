"""Two machines that chat over a network that fails, killed at any moment, lose nothing they showed."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from phichat.history import HistoryStore, StoredMessage
from phichat.history.cosmos import CosmosStore, Place
from tests.history.cosmos import Server, cosmos_server
from tests.history.cosmos_chatter import TOGETHER
from tests.history.processes import lines, program
from tests.history.store_suite import closing
from tests.history.test_kill import check
from tests.history.test_synced import machine

__all__ = ["cosmos_server"]

KILLS = int(os.environ.get("HISTORY_KILLS", "2"))
FAULTS: tuple[dict[str, Any], ...] = (
    {"cut": "before", "every": 3},
    {"cut": "after", "every": 3},
    {"down": True},
    {"throttle": 5},
    {},
)


def shown_until_killed(
    server: Server, folders: list[Path], place: Place, chance: random.Random
) -> list[dict[str, Any]]:
    """What two programs had acknowledged when both were killed, while the network did as it liked."""
    arguments = (place.endpoint, place.container, str(chance.random()))
    shown: list[dict[str, Any]] = []
    with (
        program("cosmos_chatter", folders[0], *arguments) as one,
        program("cosmos_chatter", folders[1], *arguments) as other,
    ):

        def read(stream: Any, count: int) -> None:
            shown.extend(itertools.islice(lines(stream), count))

        readers = [
            threading.Thread(target=read, args=(each.stdout, chance.randrange(50, 200)))
            for each in (one, other)
        ]
        for reader in readers:
            reader.start()
        for fault in chance.sample(FAULTS, 3):
            server.fail(**fault)
            time.sleep(chance.random() / 10)  # anywhere within a write
        for reader in readers:
            reader.join()
        for each in (one, other):
            each.kill()
            shown += lines(each.stdout)
            assert each.stderr and not each.stderr.read()
    return shown


async def stored(store: HistoryStore) -> dict[str, StoredMessage]:
    """All messages by their ids; each is there once."""
    every = [
        message
        async for conversation in store.conversations()
        for message in (await store.read(conversation.id)).messages
    ]
    found = {message.id: message for message in every}
    assert len(found) == len(every)
    return found


@pytest.mark.timeout(60 + 10 * KILLS)
async def test_what_two_machines_showed_survives_kill_9_and_a_cut_network(
    tmp_path: Path, cosmos_server: Server
) -> None:
    place = cosmos_server.place()
    folders = [tmp_path / "one", tmp_path / "other"]
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    shown: list[dict[str, Any]] = []
    for killed in range(1, KILLS + 1):
        shown += shown_until_killed(cosmos_server, folders, place, chance)
        cosmos_server.fail()
        async with (
            closing(machine(folders[0], place)) as one,
            closing(machine(folders[1], place)) as other,
            closing(CosmosStore(place)) as remote,
        ):
            for each in (one, other, one):
                await each.synchronise()
            messages = await stored(remote)
            states = check(shown, messages)
            assert states["partial"] <= 2 * killed and not states["failed"], f"seed {seed}"
            for each in (one, other):
                assert await stored(each) == messages, f"seed {seed}"
            (await remote.read(TOGETHER)).check()
    assert shown
