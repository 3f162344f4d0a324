"""The synced store: a copy on this machine that is read and written, and kept the same as one elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeVar

from phichat.errors import HistoryError, PhichatError
from phichat.history.base import HistoryStore, Order
from phichat.history.sqlite import SqliteStore
from phichat.history.synced.journal import Journal
from phichat.history.synced.remote import CLOSE_SECONDS, Remote
from phichat.history.synced.rounds import SYNCED, Rounds
from phichat.history.tree import Transcript
from phichat.history.values import Conversation, Hit, Merged, Page, StoredMessage, Sync

LOOK_SECONDS = 30.0
"""How often to look whether another machine has changed something."""
PATIENCE_SECONDS = (2.0, 60.0)
"""How long to wait after the first failed round, and at most after many."""

T = TypeVar("T")


class SyncedStore(HistoryStore):
    """Conversations elsewhere, through a copy here.

    Whatever is read or written is read and written here, so that a chat goes on when the network is
    gone and never waits for it; a search has the index of the copy. What is changed is in a journal
    until it is elsewhere. In the background, rounds keep both the same: both are merged as two copies
    of one conversation always are (`tree.merge`), so nothing is there twice and nothing is lost.
    """

    def __init__(
        self, local: SqliteStore, remote: Remote, journal: Journal, *, background: bool = True
    ) -> None:
        self.local = local
        self.where = remote.where
        self._remote = remote
        self._journal = journal
        self._rounds = Rounds(local, remote, journal)
        self._background = background
        self._tending: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._round = asyncio.Lock()
        self._sync = Sync("syncing") if background else Sync("behind")
        self._listeners: list[Callable[[], None]] = []

    @property
    def sync(self) -> Sync:
        return self._sync

    def on_sync(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)
        self._tend()

    async def synchronise(self) -> Sync:
        try:
            await self._go_round()
        except HistoryError as error:
            await self._say("behind", error.message)
            raise
        return self._sync

    async def create(self, conversation: Conversation) -> None:
        await self._write(conversation.id, self.local.create(conversation), makes=True)

    async def get(self, conversation_id: str) -> Conversation:
        self._tend()
        return await self.local.get(conversation_id)

    async def read(self, conversation_id: str) -> Transcript:
        self._tend()
        return await self.local.read(conversation_id)

    async def page(
        self,
        *,
        project: str | None = None,
        deleted: bool = False,
        order: Order = "updated",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        self._tend()
        return await self.local.page(
            project=project, deleted=deleted, order=order, limit=limit, cursor=cursor
        )

    async def rename(self, conversation_id: str, title: str) -> None:
        await self._write(conversation_id, self.local.rename(conversation_id, title))

    async def select(self, conversation_id: str, leaf: str) -> None:
        await self._write(conversation_id, self.local.select(conversation_id, leaf))

    async def delete(self, conversation_id: str) -> None:
        await self._write(conversation_id, self.local.delete(conversation_id))

    async def undelete(self, conversation_id: str) -> None:
        await self._write(conversation_id, self.local.undelete(conversation_id))

    async def purge(self, conversation_id: str) -> None:
        await self._write(conversation_id, self.local.purge(conversation_id), purge=True)

    async def append(self, message: StoredMessage) -> None:
        writing = message.state == "partial"
        await self._write(message.conversation_id, self.local.append(message), wake=not writing)

    async def extend(self, conversation_id: str, message_id: str, text: str) -> None:
        work = self.local.extend(conversation_id, message_id, text)
        await self._write(conversation_id, work, durable=False, wake=False)

    async def finish(self, message: StoredMessage) -> None:
        await self._write(message.conversation_id, self.local.finish(message))

    async def search(self, text: str, *, project: str | None = None, limit: int = 50) -> Sequence[Hit]:
        self._tend()
        return await self.local.search(text, project=project, limit=limit)

    async def merge(self, transcripts: Sequence[Transcript]) -> Merged:
        ids = [transcript.conversation.id for transcript in transcripts]
        await self._journal.begin(*ids, makes=True)
        merged = await self._noted(self.local.merge(transcripts), ids)
        await self._wake()
        return merged

    async def aclose(self) -> None:
        end = asyncio.get_running_loop().time() + CLOSE_SECONDS
        if self._tending:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        try:
            if self._background and not self._sync.detail and await self._journal.marks():
                # What cannot be sent now is in the journal, and sent the next time.
                with contextlib.suppress(PhichatError, TimeoutError):
                    async with asyncio.timeout_at(end):
                        await self._rounds.push()
        finally:
            await self._journal.aclose()
            await self.local.aclose()
            await self._remote.aclose(max(end - asyncio.get_running_loop().time(), 0))

    async def _write(
        self,
        conversation_id: str,
        work: Coroutine[None, None, T],
        *,
        purge: bool = False,
        makes: bool = False,
        durable: bool = True,
        wake: bool = True,
    ) -> T:
        """Do the work on the copy, and have it sent."""
        try:
            await self._journal.begin(conversation_id, purge=purge, makes=makes, durable=durable)
        except BaseException:
            work.close()
            raise
        done = await self._noted(work, [conversation_id], purge)
        if wake:
            await self._wake()
        return done

    async def _noted(self, work: Coroutine[None, None, T], ids: Sequence[str], purge: bool = False) -> T:
        """Do the work, and note that it is done; not where it was cancelled, as then it still goes on."""
        try:
            return await work
        except asyncio.CancelledError:
            ids = []
            raise
        finally:
            await self._journal.end(*ids, purge=purge)

    async def _wake(self) -> None:
        """Something is to be sent."""
        await self._say(
            "behind" if self._sync.detail or not self._background else "syncing", self._sync.detail
        )
        self._woken.set()
        self._tend()

    def _tend(self) -> None:
        """See to it that rounds are gone in the background."""
        if self._background and (self._tending is None or self._tending.done()):
            self._tending = asyncio.create_task(self._go_round_for_ever())

    async def _go_round_for_ever(self) -> None:
        patience = PATIENCE_SECONDS[0]
        while True:
            self._woken.clear()
            try:
                await self.synchronise()
            except PhichatError:  # said already
                await asyncio.sleep(patience)
                patience = min(patience * 2, PATIENCE_SECONDS[1])
                continue
            patience = PATIENCE_SECONDS[0]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._woken.wait()

    async def _go_round(self) -> None:
        async with self._round:
            await self._rounds.push()
            await self._rounds.pull()
        await self._say("synced", "")

    async def _say(self, state: str, detail: str) -> None:
        """Tell the listeners how it stands, if that is new."""
        pending = len(await self._journal.marks())
        if state == "synced" and pending:
            state = "syncing" if self._background else "behind"
        now = Sync(state, pending, await self._journal.fact(SYNCED), detail)  # type: ignore[arg-type]
        if now != self._sync:
            self._sync = now
            for listener in self._listeners:
                listener()
