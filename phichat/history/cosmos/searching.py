"""What a search finds without an index: every text is read, and the best matches come first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from phichat.history.search import Query
from phichat.history.tree import Transcript
from phichat.history.values import Hit

SATURATION = 1.2
LENGTH_SHARE = 0.75
"""The usual constants of BM25 (https://en.wikipedia.org/wiki/Okapi_BM25)."""


def find(transcripts: Iterable[Transcript], query: Query, limit: int) -> Sequence[Hit]:
    """Titles first, at most half of the hits, then messages; of what matches as well, the newest."""
    if not query.terms:
        return []
    titles: list[tuple[float, tuple[float, str], Hit]] = []
    messages: list[tuple[float, tuple[float, str], Hit]] = []
    for transcript in transcripts:
        conversation = transcript.conversation
        if score := _score(query, conversation.title):
            hit = Hit(conversation, query.snippet(conversation.title))
            titles.append((score, (conversation.updated, conversation.id), hit))
        for message in transcript.messages:
            if score := _score(query, message.content):
                hit = Hit(conversation, query.snippet(message.content), message.id)
                messages.append((score, (message.created, message.id), hit))
    best = _best(titles, (limit + 1) // 2)
    return best + _best(messages, limit - len(best))


def _best(found: list[tuple[float, tuple[float, str], Hit]], limit: int) -> list[Hit]:
    return [hit for _, _, hit in sorted(found, key=lambda each: each[:2], reverse=True)[:limit]]


def _score(query: Query, text: str) -> float:
    """How well a text matches; 0 if a term is missing. Often in a short text is best."""
    counts = query.counts(text)
    if not all(counts):
        return 0.0
    length = 1 - LENGTH_SHARE + LENGTH_SHARE * len(text) / 500
    return sum(count / (count + SATURATION * length) for count in counts)
