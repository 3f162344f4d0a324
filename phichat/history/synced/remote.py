"""What a store elsewhere has to be able to do, so that a copy of it can be kept here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, NamedTuple, Protocol

from phichat.history.tree import Transcript

CLOSE_SECONDS = 5.0
"""How long the end of a program may wait for what was said last to be sent."""


class Change(NamedTuple):
    """A conversation that somebody has changed, or removed for good."""

    conversation_id: str
    version: str
    """Another one after every change."""
    at: int
    """When it was written, in seconds of the clock there."""
    purged: bool


class Joined(NamedTuple):
    """A conversation as it is there after a copy was joined to it."""

    transcript: Transcript
    version: str
    outcome: Literal["added", "changed", "known"]


class Remote(Protocol):
    """A store elsewhere, which other machines write as well; its errors are those of a `HistoryStore`."""

    where: str

    async def read(self, conversation_id: str) -> Transcript:
        """A conversation with all its messages."""

    async def join(self, theirs: Transcript) -> Joined:
        """Take in a copy of one conversation: nothing twice, nothing lost."""

    async def purge(self, conversation_id: str) -> None:
        """Remove a conversation for good, and let the other machines know."""

    def changes(self, since: int) -> AsyncIterator[Change]:
        """What was changed from that second on, oldest first."""

    async def aclose(self, patience: float) -> None:
        """Let go of the connection, after at most so many seconds for the writes that are under way."""
