"""All conversations from one store into another, with nothing lost on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator

from phichat.errors import HistoryError
from phichat.history.base import HistoryStore
from phichat.history.tree import Transcript, merge
from phichat.history.values import Merged

BATCH = 50
"""Conversations that are written at once."""


async def move(source: HistoryStore, target: HistoryStore, *, remove: bool = False) -> Merged:
    """Bring every conversation of a store, the deleted ones as well, into another one.

    Each is read back and compared. The source stays as it is unless `remove` is wanted: then what has
    arrived whole is removed from it for good.

    Raises:
        HistoryError: one of them cannot be reached, or something did not arrive. Nothing was removed.
    """
    await source.synchronise()
    added = changed = known = 0
    async for batch in _batches(source):
        merged = await target.merge(batch)
        added, changed, known = added + merged.added, changed + merged.changed, known + merged.known
    await target.synchronise()
    arrived: list[str] = []
    async for batch in _batches(source):
        for ours in batch:
            theirs = await target.read(ours.conversation.id)
            if merge(theirs, ours) != theirs:
                raise HistoryError(
                    f"The conversation {ours.conversation.id} did not arrive whole in {target.where}.",
                    "Nothing was removed. Try again.",
                )
            arrived.append(ours.conversation.id)
    if remove:
        for each in arrived:
            await source.purge(each)
        await source.synchronise()
    return Merged(added, changed, known)


async def _batches(store: HistoryStore) -> AsyncIterator[list[Transcript]]:
    """The conversations of a store, some at once."""
    batch: list[Transcript] = []
    for deleted in (False, True):
        async for conversation in store.conversations(deleted=deleted):
            batch.append(await store.read(conversation.id))
            if len(batch) == BATCH:
                yield batch
                batch = []
    if batch:
        yield batch
