"""The rules that every conversation keeps before anything is trained on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import msgspec

from phichat.data.conversation import Turn
from phichat.data.messages import Notes

NEXT = {"system": ("user",), "user": ("assistant",), "assistant": ("user",)}
"""Who may speak after whom: the order that every template of the catalogue was trained with."""


class SpecialTokens:
    """Finds a model's special tokens in texts, where they would be read as the end or start of a turn."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = sorted({token for token in tokens if token}, key=lambda token: (-len(token), token))
        self._pattern = re.compile("|".join(map(re.escape, self.tokens)))
        written = [msgspec.json.encode(token)[1:-1] for token in self.tokens]
        self._written = re.compile(b"|".join(map(re.escape, written)))
        # One search for a byte is many times faster than the pattern, and most rows have none of them.
        self._starts = sorted({token[:1] for token in written})

    def find(self, text: str) -> str | None:
        """The first special token in a text."""
        found = self._pattern.search(text)
        return found.group() if found else None

    def may_be_in_line(self, line: bytes) -> bool:
        """Whether a row as JSON has something that may be one; where it says no, there is none."""
        for start in self._starts:
            if start in line:
                return self._written.search(line) is not None
        return False


Place = Callable[[int], tuple[str, str]]
"""The fields of the source that hold the role and the text of the n-th turn."""


def sound(turns: Sequence[Turn]) -> bool:
    """Whether turns surely keep every rule of order and content: quick, and silent about what is wrong."""
    for turn in turns:
        if not turn.content or turn.content.isspace() or turn.weight is not None:
            return False
    return tuple([turn.role for turn in turns]) in _ORDERS


_ORDERS = frozenset(
    (*system, *("user", "assistant") * exchanges)
    for system in ((), ("system",))
    for exchanges in range(1, 65)
)


def check(turns: Sequence[Turn], special: SpecialTokens | None, place: Place, notes: Notes) -> None:
    """Append a fault for every rule that a conversation breaks."""
    expected: tuple[str, ...] = ("system", "user")
    answers = 0
    for number, turn in enumerate(turns):
        role, content = turn.role, turn.content
        if role not in expected:
            before = f"after the {turns[number - 1].role}'s" if number else "at the start"
            told = f"a turn of the {role} cannot stand {before}: {' or '.join(expected)} is expected."
            notes.fault("order", place(number)[0], told)
        expected = NEXT[role]
        if not content or content.isspace():
            notes.fault("empty", place(number)[1], "the text is empty.")
        elif special is not None and (token := special.find(content)) is not None:
            told = f"the text contains {token!r}, which the model reads as a command and not as text."
            notes.fault("special_token", place(number)[1], told)
        if role == "assistant":
            answers += turn.weight != 0
        elif turn.weight is not None:
            told = "a weight is for what is learned: only answers have one."
            notes.fault("field", f"messages[{number}].weight", told)
    if not answers:
        notes.fault("no_answer", "", "there is no answer of the assistant to learn from.")
    elif turns[-1].role != "assistant":
        told = "the last turn is the user's: nothing is learned from it."
        notes.fault("order", place(len(turns) - 1)[0], told)
