"""What a person types to find a message: words, "exact phrases" and beginnings*; any input is safe."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from phichat.history.values import Snippet, storable

MAX_TERMS = 32
MAX_LENGTH = 500
"""Characters of a query that count: SQLite refuses expressions and patterns beyond some size."""
SNIPPET_LENGTH = 120
LEAD = 30
"""Characters that a snippet shows before the first match."""

_TERM = re.compile(r'"([^"]*)("?)(\*?)|([^\s"]+)')
_OPEN_END = re.compile(r"[^\W_]{2,}$")
"""Where a beginning can go on. Nearly every message has a word with any one letter: that is no beginning."""
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Japanese kana
    (0x3400, 0x4DBF),  # Chinese characters
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Scripts that do not put spaces between words, so that an index of words does not find them."""


@dataclass(frozen=True)
class Term:
    """A word or a phrase that must be there."""

    text: str
    prefix: bool = False
    """Whether its last word may go on."""

    @property
    def indexed(self) -> bool:
        """Whether an index of words can find it."""
        return any(map(_in_a_word, self.text)) and not any(map(_unspaced, self.text))


@dataclass(frozen=True)
class Query:
    """What to look for: a text that has all of these terms, upper or lower case, with accents or without."""

    terms: tuple[Term, ...]

    @property
    def indexed(self) -> bool:
        """Whether an index of words can answer it; else every text has to be read."""
        return all(term.indexed for term in self.terms)

    def fts(self) -> str:
        """As a full-text query of SQLite's FTS5, every term quoted."""
        return " AND ".join(_fts(term) for term in self.terms)

    def like(self) -> list[str]:
        """As patterns of SQL's LIKE with the escape character `\\`, all of which must match."""
        escaped = [re.sub(r"([\\%_])", r"\\\1", term.text) for term in self.terms]
        return [f"%{text}%" for text in escaped]

    def snippet(self, text: str) -> Snippet:
        """The part of a text around its first match, the matches marked."""
        found = self._matches(text)
        start = max(found[0][0] - LEAD, 0) if found else 0
        if start:  # at the beginning of a word, where there is one near
            space = text.find(" ", start, found[0][0])
            start = space + 1 if space >= 0 else start
        end = max(start + SNIPPET_LENGTH, found[0][1] if found else 0)
        return _one_line(text, start, end, found)

    def counts(self, text: str) -> list[int]:
        """How often each term is in a text; the text matches if none is 0."""
        folded = fold(text)
        return [sum(1 for _ in _pattern(term).finditer(folded)) for term in self.terms]

    def _matches(self, text: str) -> list[tuple[int, int]]:
        """Where the terms are, in order, none inside another."""
        folded = fold(text)
        found = sorted(match.span() for term in self.terms for match in _pattern(term).finditer(folded))
        apart: list[tuple[int, int]] = []
        for span in found:
            if span[0] < span[1] and (not apart or span[0] >= apart[-1][1]):
                apart.append(span)
        return apart


def parse(typed: str) -> Query:
    """The query that a person typed, or is still typing: its last word may be only the beginning of one."""
    typed = storable(typed).replace("\0", " ")[:MAX_LENGTH]
    terms = []
    for found in _TERM.finditer(typed):
        phrase, quote, star, word = found.groups()
        if word:
            unfinished = found.end() == len(typed)
            text, prefix = word.rstrip("*") or word, word.endswith("*") or unfinished
        else:
            text, prefix = phrase.strip(), bool(star) or not quote
        if text:
            terms.append(Term(text, prefix and bool(_OPEN_END.search(text))))
    return Query(tuple(terms[:MAX_TERMS]))


def fold(text: str) -> str:
    """The text without case and accents, character for character at the same positions."""
    return text.lower() if text.isascii() else "".join(map(_folded, text))


def _folded(character: str) -> str:
    base = unicodedata.normalize("NFKD", character)[0].lower()
    return base if len(base) == 1 else character


def _fts(term: Term) -> str:
    quoted = term.text.replace('"', '""')
    return f'"{quoted}"' + (" *" if term.prefix else "")


def _pattern(term: Term) -> re.Pattern[str]:
    """Matches the term in a folded text as the index does: whole words, whatever is between them."""
    if not term.indexed:
        return re.compile(re.escape(fold(term.text)))
    words = [re.escape(word) for word in re.findall(r"[^\W_]+", fold(term.text))]
    end = r"[^\W_]*" if term.prefix else r"(?![^\W_])"
    return re.compile(r"(?<![^\W_])" + r"[\W_]+".join(words) + end)


def _one_line(text: str, start: int, end: int, marks: list[tuple[int, int]]) -> Snippet:
    """The part of a text from `start` to `end` with its line ends as spaces."""
    before, after = "…" if start else "", "…" if end < len(text) else ""
    line = re.sub(r"\s", " ", text[start:end])
    shift = len(before) - start
    inside = tuple((first + shift, last + shift) for first, last in marks if last <= end)
    return Snippet(f"{before}{line}{after}", inside)


def _in_a_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"


def _unspaced(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _UNSPACED)
