"""All conversations from one store into another, with nothing lost on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator

from phichat.errors import HistoryError, NotFoundError
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
            if not await _is_whole(ours, target):
                raise _missing(ours, target, "Nothing was removed. Try again.")
            arrived.append(ours.conversation.id)
    if remove:
        await source.synchronise()
        for each in arrived:
            await _remove(each, source, target)
        await source.synchronise()
    return Merged(added, changed, known)


async def _remove(conversation_id: str, source: HistoryStore, target: HistoryStore) -> None:
    """Remove a conversation that has arrived, what was said in it since then not before that has, too."""
    try:
        ours = await source.read(conversation_id)
    except NotFoundError:
        return
    if not await _is_whole(ours, target):
        await target.merge([ours])
        await target.synchronise()
        if not await _is_whole(ours, target):
            raise _missing(ours, target, "It was not removed. Try again.")
    await source.purge(conversation_id)


async def _is_whole(ours: Transcript, target: HistoryStore) -> bool:
    """Whether all of a conversation is in the target."""
    theirs = await target.read(ours.conversation.id)
    return merge(theirs, ours) == theirs


def _missing(ours: Transcript, target: HistoryStore, hint: str) -> HistoryError:
    return HistoryError(
        f"The conversation {ours.conversation.id} did not arrive whole in {target.where}.", hint
    )


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
