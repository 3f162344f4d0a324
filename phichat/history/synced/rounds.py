"""A round of synchronising: what was changed here goes there, then what was changed there comes here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TypeVar

from phichat.errors import HistoryError, NotFoundError, UnreachableError
from phichat.history.sqlite import SqliteStore
from phichat.history.synced.journal import Journal, Mark
from phichat.history.synced.remote import Change, Remote
from phichat.history.tree import Transcript

OVERLAP_SECONDS = 60
"""How far back a round looks for changes again: two machines there need not agree on the second."""
AT_ONCE = 8
"""Conversations that are sent or fetched at the same time."""
SINCE, SYNCED, COMPLETE = "since", "synced", "complete"
"""What the journal notes: the second up to which changes were fetched, when both were the same, and
whether it knows of every conversation here."""

T = TypeVar("T")


class Rounds:
    """Brings a store here and one elsewhere to the same state, both ways, as often as it is called."""

    def __init__(self, local: SqliteStore, remote: Remote, journal: Journal) -> None:
        self._local = local
        self._remote = remote
        self._journal = journal

    async def push(self) -> None:
        """Send what was changed here. One conversation that is refused does not hold up the others.

        Raises:
            UnreachableError: there nobody answers.
            HistoryError: something was refused; all else is there.
        """
        if not await self._journal.fact(COMPLETE):
            await self._mark_all()
        refused: list[HistoryError] = []
        async for some in _groups(_each(await self._journal.marks())):
            ended = await asyncio.gather(*map(self._send, some), return_exceptions=True)
            failed = [error for error in ended if isinstance(error, BaseException)]
            for error in failed:
                if not isinstance(error, HistoryError) or isinstance(error, UnreachableError):
                    raise error
                refused.append(error)
        if refused:
            raise refused[0]

    async def pull(self) -> None:
        """Fetch what was changed there.

        Raises:
            HistoryError: it cannot be fetched, or not be kept here.
        """
        known = await self._journal.versions()
        since = int(await self._journal.fact(SINCE) or 0)
        whole = True
        async for some in _groups(self._remote.changes(max(since - OVERLAP_SECONDS, 0))):
            # What was changed here meanwhile waits for the next round, which joins both.
            waiting = {mark.conversation_id for mark in await self._journal.marks()}
            new = [change for change in some if known.get(change.conversation_id) != change.version]
            free = [change for change in new if change.conversation_id not in waiting]
            whole = all(await asyncio.gather(*map(self._fetch, free))) and len(free) == len(new) and whole
            if whole:  # so that a first round that is interrupted goes on where it was
                await self._journal.note(SINCE, some[-1].at)
        await self._journal.note(SYNCED, time.time())

    async def _send(self, mark: Mark) -> None:
        if mark.purge:
            await self._remote.purge(mark.conversation_id)
        if mark.purge > 0:
            await self._journal.settle(mark, None)
            return
        if mark.purge:  # only once: others may write into what is there again
            await self._journal.removed(mark)
        try:
            ours = await self._local.read(mark.conversation_id)
        except NotFoundError:  # whoever was about to write it has died
            await self._journal.settle(mark, None)
            return
        joined = await self._remote.join(ours)
        if joined.transcript != ours:
            await self._take_in(joined.transcript)
        await self._journal.settle(mark, joined.version)

    async def _fetch(self, change: Change) -> bool:
        """Take in what was changed; False if that is not all there yet."""
        if change.purged:
            if not await self._remove(change.conversation_id):
                return False
        else:
            try:
                theirs = await self._remote.read(change.conversation_id)
            except NotFoundError:
                return False
            leaf = theirs.conversation.leaf
            if leaf is not None and all(message.id != leaf for message in theirs.messages):
                return False
            await self._take_in(theirs)
        await self._journal.note_version(change.conversation_id, change.version)
        return True

    async def _remove(self, conversation_id: str) -> bool:
        """Remove what is gone there; False if somebody goes on with it here: then it is sent, and stays."""
        try:
            ours = await self._local.read(conversation_id)
        except NotFoundError:
            return True
        if any(mark.conversation_id == conversation_id for mark in await self._journal.marks()):
            return False
        # Whoever begins to write now has either changed it before this, or is told that it is gone.
        return await self._local.purge_unchanged(ours)

    async def _take_in(self, theirs: Transcript) -> None:
        """Merge a conversation into the copy here, where the person sees the branch that they chose."""
        try:
            ours = await self._local.get(theirs.conversation.id)
        except NotFoundError:
            pass
        else:
            if ours.leaf and ours.updated == theirs.conversation.updated:
                shown = theirs.conversation.model_copy(update={"leaf": ours.leaf})
                theirs = Transcript(shown, theirs.messages)
        await self._local.merge([theirs])

    async def _mark_all(self) -> None:
        """Send everything that is here: the journal is new, and the conversations need not be."""
        for deleted in (False, True):
            ids = [each.id async for each in self._local.conversations(deleted=deleted)]
            await self._journal.end(*ids)
        await self._journal.note(COMPLETE, 1)


async def _groups(items: AsyncIterator[T]) -> AsyncIterator[list[T]]:
    some: list[T] = []
    async for item in items:
        some.append(item)
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some


async def _each(items: list[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
