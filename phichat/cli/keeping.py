"""`phichat history sync`, `move`, `recover`: where conversations are kept, and that they are whole there."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phichat.history import HistoryStore, Merged
    from phichat.workflow import Project

CATCH_UP_SECONDS = 10.0
"""How long a list or a search waits for what other machines have said."""


async def catch_up(store: HistoryStore) -> None:
    """Fetch what other machines have said, where that is soon done; else say that it is missing."""
    from phichat.cli.terminal import narrate
    from phichat.errors import HistoryError

    if store.sync.state == "local":
        return
    try:
        async with asyncio.timeout(CATCH_UP_SECONDS):
            await store.synchronise()
    except TimeoutError:
        narrate(f"{store.where} takes long to answer: this is the copy on this machine.")
    except HistoryError as error:
        narrate(f"{error.message} This is the copy on this machine: what was said elsewhere may be missing.")


async def synchronise(args: argparse.Namespace, project: Project) -> int:
    """Make the copy here and what lies elsewhere the same."""
    from phichat.cli.terminal import narrate, out_json

    store = project.history
    try:
        await store.synchronise()
    finally:
        if args.json:
            out_json("sync", {"where": store.where, **store.sync._asdict()})
        elif store.sync.pending:
            wait = "waits" if store.sync.pending == 1 else "wait"
            narrate(f"{conversations(store.sync.pending)} of this machine {wait} to be sent.")
    if store.sync.state == "local":
        narrate(f"The conversations are in {store.where} and nowhere else: there is nothing to sync.")
    elif not args.json:
        narrate(f"In sync with {store.where}.")
    return 0


async def move(args: argparse.Namespace, project: Project) -> int:
    """Bring all conversations from one store into the other."""
    from phichat.cli.terminal import confirmed, narrate

    if args.remove and not confirmed("Remove from the other store for good what has arrived?", args.yes):
        return 1
    merged = await project.move_history(args.to, remove=args.remove)
    stay = "" if args.remove else " They are still where they were, too."
    narrate(f"Moved to {args.to}: {told(merged)}.{stay}")
    if project.config.history.store != args.to:
        narrate(f'phichat still uses the other store: set store = "{args.to}" under [history].')
    return 0


async def recover(_: argparse.Namespace, project: Project) -> int:
    """Make a new file of what can be read in a damaged one."""
    from phichat.cli.terminal import narrate
    from phichat.errors import UnsupportedError
    from phichat.history.sqlite import SqliteStore
    from phichat.history.sqlite.recovery import recover as save
    from phichat.history.synced import SyncedStore

    store = project.history
    store = store.local if isinstance(store, SyncedStore) else store
    if not isinstance(store, SqliteStore):
        raise UnsupportedError(f"The conversations in {store.where} are not in a file to recover.")
    saved = await asyncio.to_thread(save, store.path)
    narrate(
        f"{conversations(saved.conversations)} with {saved.messages:,} messages are in {store.path} again."
    )
    narrate(f"The file as it was is {saved.kept}.")
    return 0


def told(merged: Merged) -> str:
    """What a merge brought, for people."""
    told = [f"{conversations(merged.added)} added"]
    told += [
        f"{count} {word}"
        for count, word in ((merged.changed, "changed"), (merged.known, "known already"))
        if count
    ]
    return ", ".join(told)


def conversations(count: int) -> str:
    """How many, for people."""
    return f"{count:,} conversation{'' if count == 1 else 's'}"
