"""The rules that every conversation keeps before anything is trained on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from phichat.data.conversation import Turn
from phichat.data.messages import Notes

NEXT = {"system": ("user",), "user": ("assistant",), "assistant": ("user",)}
"""Who may speak after whom: the order that every template of the catalogue was trained with."""


class SpecialTokens:
    """Finds a model's special tokens in texts, where they would be read as the end or start of a turn."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = sorted({token for token in tokens if token}, key=lambda token: (-len(token), token))
        self._pattern = re.compile("|".join(map(re.escape, self.tokens)))
        # One search for a character is many times faster than the pattern, and most texts have none of them.
        self._starts = sorted({token[0] for token in self.tokens})

    def find(self, text: str) -> str | None:
        """The first special token in a text."""
        if not self.may_be_in(text):
            return None
        found = self._pattern.search(text)
        return found.group() if found else None

    def may_be_in(self, text: str) -> bool:
        """Whether a text has the first character of any."""
        for start in self._starts:  # noqa: SIM110  # any() with a generator takes three times as long
            if start in text:
                return True
        return False


Place = Callable[[int], tuple[str, str]]
"""The fields of the source that hold the role and the text of the n-th turn."""


def sound(turns: Sequence[Turn], special: SpecialTokens | None) -> bool:
    """Whether a conversation surely keeps every rule: quick, and silent about what is wrong with others."""
    texts = [turn.content for turn in turns]
    return (
        tuple([turn.role for turn in turns]) in _ORDERS
        and all(texts)
        and not any(map(str.isspace, texts))
        and not any(turn.weight is not None for turn in turns)
        and (special is None or not special.may_be_in("".join(texts)))
    )


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
