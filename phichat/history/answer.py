"""One answer while it is written: its text is kept before it is shown, and then how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator

from phichat.backends.base import Usage
from phichat.events import Piece, Reply
from phichat.history.base import HistoryStore
from phichat.history.values import StoredMessage


class Answer:
    """An answer that is being written into a store, as a `partial` message until it ends.

    A method that fails with a HistoryError has lost nothing: the next one tries to keep the rest as well.
    """

    def __init__(self, store: HistoryStore, message: StoredMessage) -> None:
        self._store = store
        self._begun = False
        self._unsaved = ""
        self._prefix = message.content
        self.message = message
        """As far as it has come."""

    async def begin(self) -> None:
        """Take its place in the conversation, without text or with that of the answer it continues."""
        await self._store.append(self.message)
        self._begun = True

    async def write(self, text: str) -> None:
        """Add a piece; when this returns, a crash no longer loses it: show it then.

        Pieces that come faster than they are shown are better joined first, as `read_ahead` does.
        """
        self.add(text)
        await self.save()

    def add(self, text: str) -> None:
        """Add a piece that is not written yet."""
        self.message = self.message.model_copy(update={"content": self.message.content + text})
        self._unsaved += text

    async def save(self) -> None:
        """Write the pieces that are not written yet."""
        await self._store.extend(self.message.conversation_id, self.message.id, self._unsaved)
        self._unsaved = ""

    async def finish(self, reply: Reply) -> None:
        """The model has ended, or a limit has."""
        usage = Usage(
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            finish_reason=reply.finish_reason,
            dropped_messages=reply.dropped_messages,
            context=reply.context,
        )
        await self._end(
            state="complete",
            content=self._prefix + reply.text,
            usage=usage,
            template_hash=reply.template_sha256 or self.message.template_hash,
            ttft_s=_finite(reply.ttft_s),
            tokens_per_s=_finite(reply.tokens_per_s),
        )

    async def stop(self) -> None:
        """The person has ended it: what was written stays."""
        await self._end(state="stopped")

    async def fail(self, reason: str) -> None:
        """It went wrong: what was written stays."""
        await self._end(state="failed", detail=reason)

    async def keep(self) -> None:
        """Write it as it is now, after something could not be written."""
        if not self._begun:
            await self._store.append(self.message)
            self._begun = True
        # Also after that: a beginning that was cancelled may have been written all the same.
        await self._store.finish(self.message)

    async def _end(self, **outcome: object) -> None:
        # Validated, so that what is remembered is what is stored.
        self.message = StoredMessage.model_validate({**dict(self.message), **outcome})
        await self.keep()


async def read_ahead(parts: AsyncGenerator[Piece | Reply, None]) -> AsyncGenerator[Piece | Reply, None]:
    """The same stream read by a task of its own, pieces joined that came while the last one was used.

    So a fast model costs no more writes and redraws than there is time for, and a slow one waits for none.
    """
    waiting: list[Piece | Reply] = []
    news = asyncio.Event()

    async def read() -> None:
        async with contextlib.aclosing(parts):
            async for part in parts:
                waiting.append(part)
                news.set()

    reader = asyncio.create_task(read())
    reader.add_done_callback(lambda _: news.set())
    try:
        ended = False
        while not ended:
            await news.wait()
            news.clear()
            ended = reader.done()
            taken = waiting[:]
            waiting.clear()
            for part in _joined(taken):
                yield part
        reader.result()
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


def _joined(parts: list[Piece | Reply]) -> list[Piece | Reply]:
    """The pieces as one piece, then the rest."""
    pieces = [part for part in parts if isinstance(part, Piece)]
    rest = [part for part in parts if isinstance(part, Reply)]
    if not pieces:
        return [*rest]
    return [Piece(at=pieces[-1].at, text="".join(piece.text for piece in pieces)), *rest]


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
