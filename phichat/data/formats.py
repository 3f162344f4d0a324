"""The shapes of rows that people bring, and what each means as a conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from phichat.data.conversation import Role, Turn
from phichat.data.messages import TOOL_KEYS, Notes, Record, refuse_tools, system_of, text_of, turns_of
from phichat.errors import ConfigError

Spelling: TypeAlias = Mapping[str, str]
"""How a source writes the names of its columns, where it is not in lower case as here."""


@dataclass(frozen=True)
class Format:
    """One shape of rows: how it is recognised, and how it is read."""

    name: str
    evidence: str
    """What people are told it was recognised by."""
    matches: Callable[[Record], bool]
    convert: Callable[[Record, Notes], list[Turn]]
    """The conversation of a row; what is wrong with it is appended."""
    uses: frozenset[str]
    """The keys that are read; every other one is counted as ignored."""
    place: Callable[[Record, list[Turn], int], tuple[str, str]]
    """The fields of the row that hold the role and the text of its n-th turn."""
    spelled: Callable[[Spelling], Format] | None = None
    """The same format of rows that spell the names of their columns otherwise."""


# OpenAI's messages -------------------------------------------------------------------------------------


def _messages(row: Record, notes: Notes) -> list[Turn]:
    refuse_tools(row, notes)
    return turns_of(row["messages"], "messages", "role", "content", notes)


MESSAGES = Format(
    "messages",
    "'messages'",
    lambda row: "messages" in row,
    _messages,
    frozenset({"messages", *TOOL_KEYS}),
    lambda _row, _turns, number: (f"messages[{number}].role", f"messages[{number}].content"),
)

# ShareGPT ----------------------------------------------------------------------------------------------


def _sharegpt(row: Record, notes: Notes) -> list[Turn]:
    refuse_tools(row, notes)
    items = row["conversations"]
    return system_of(row, "system", notes) + turns_of(items, "conversations", *_sharegpt_keys(items), notes)


def _sharegpt_keys(items: Any) -> tuple[str, str]:
    """The names of role and text: some sets of this shape use OpenAI's."""
    first = items[0] if isinstance(items, list) and items else None
    openai = isinstance(first, dict) and "role" in first and "from" not in first
    return ("role", "content") if openai else ("from", "value")


def _sharegpt_place(row: Record, turns: list[Turn], number: int) -> tuple[str, str]:
    items = row["conversations"]
    number -= len(turns) - len(items)
    if number < 0:
        return "system", "system"
    role, text = _sharegpt_keys(items)
    return f"conversations[{number}].{role}", f"conversations[{number}].{text}"


SHAREGPT = Format(
    "sharegpt",
    "'conversations'",
    lambda row: "conversations" in row,
    _sharegpt,
    frozenset({"conversations", "system", *TOOL_KEYS}),
    _sharegpt_place,
)

# Flat rows: a question and an answer, each in a column of its own --------------------------------------


@dataclass(frozen=True)
class Columns:
    """Which columns of a flat row hold what."""

    user: str
    assistant: str
    system: str = "system"
    extra: str = ""
    """Goes below the user's text where it is not blank, as Alpaca's `input` does."""
    history: str = ""
    """Earlier exchanges as pairs of texts."""
    keys: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        named = {self.user, self.assistant, self.system, self.extra, self.history} - {""}
        object.__setattr__(self, "keys", frozenset(named))

    def spelled(self, names: Spelling) -> Columns:
        """The same columns as a source writes them."""
        texts = (self.user, self.assistant, self.system, self.extra, self.history)
        return Columns(*(names.get(name, name) for name in texts))

    def match(self, row: Record) -> bool:
        """Whether a row has both texts."""
        return self.user in row and self.assistant in row

    def convert(self, row: Record, notes: Notes) -> list[Turn]:
        """System, earlier exchanges, question, answer."""
        question = text_of(row.get(self.user), self.user, notes)
        answer = text_of(row.get(self.assistant), self.assistant, notes)
        extra = row.get(self.extra) if self.extra else None
        if question is not None and extra is not None:
            text = text_of(extra, self.extra, notes)
            question = f"{question}\n{text}" if text and text.strip() else question
        turns = system_of(row, self.system, notes) + self._earlier(row, notes)
        if question is not None:
            turns.append(Turn("user", question))
        if answer is not None:
            turns.append(Turn("assistant", answer))
        return turns

    def place(self, _row: Record, turns: list[Turn], number: int) -> tuple[str, str]:
        """The column of the n-th turn, which holds its text and decides its role."""
        column = {len(turns) - 1: self.assistant, len(turns) - 2: self.user}.get(number)
        column = column or (self.system if turns[number].role == "system" else self.history)
        return column, column

    def _earlier(self, row: Record, notes: Notes) -> list[Turn]:
        pairs = row.get(self.history) if self.history else None
        if not pairs:
            return []
        if not isinstance(pairs, list) or not all(
            isinstance(pair, list) and len(pair) == 2 for pair in pairs
        ):
            notes.fault("field", self.history, "a list of pairs of texts is expected here.")
            return []
        turns = []
        for number, pair in enumerate(pairs):
            asked, said = (text_of(text, f"{self.history}[{number}]", notes) for text in pair)
            if asked is not None and said is not None:
                turns += [Turn("user", asked), Turn("assistant", said)]
        return turns


def flat(name: str, columns: Columns, unless: Sequence[str] = ()) -> Format:
    """A format of flat rows; a row that also has one of `unless` is not of it."""
    return Format(
        name,
        f"'{columns.user}' and '{columns.assistant}'",
        lambda row: columns.match(row) and not any(key in row for key in unless),
        columns.convert,
        columns.keys,
        columns.place,
        lambda names: flat(name, columns.spelled(names), [names.get(key, key) for key in unless]),
    )


def mapped(columns: Mapping[Role, str]) -> Format:
    """The format that a person named with `--map`.

    Raises:
        ConfigError: the user's or the assistant's column is not named.
    """
    if "user" not in columns or "assistant" not in columns:
        raise ConfigError(
            "--map has to name the columns of both user and assistant.",
            "For example --map user=question,assistant=answer",
        )
    # A column name that no table has, where no system column is named: a column 'system' was not asked for.
    named = Columns(columns["user"], columns["assistant"], columns.get("system", ""))
    return flat("map", named)


# Prompt and completion, as texts or as lists of messages ------------------------------------------------


def _completion(texts: Columns, name: str) -> Format:
    prompt, answer = texts.user, texts.assistant

    def convert(row: Record, notes: Notes) -> list[Turn]:
        if not isinstance(row[prompt], list):
            return texts.convert(row, notes)
        refuse_tools(row, notes)
        asked = turns_of(row[prompt], prompt, "role", "content", notes)
        if isinstance(row[answer], list):
            return asked + turns_of(row[answer], answer, "role", "content", notes)
        text = text_of(row[answer], answer, notes)
        return asked if text is None else [*asked, Turn("assistant", text)]

    def place(row: Record, turns: list[Turn], number: int) -> tuple[str, str]:
        if not isinstance(row[prompt], list):
            return texts.place(row, turns, number)
        asked = len(row[prompt])
        if number < asked:
            return f"{prompt}[{number}].role", f"{prompt}[{number}].content"
        where = f"{answer}[{number - asked}]" if isinstance(row[answer], list) else answer
        return where, where

    known = flat(name, texts, unless=("chosen", "rejected"))
    uses = known.uses | set(TOOL_KEYS)
    return replace(
        known,
        convert=convert,
        uses=uses,
        place=place,
        spelled=lambda names: _completion(texts.spelled(names), name),
    )


FORMATS: tuple[Format, ...] = (
    MESSAGES,
    SHAREGPT,
    flat("alpaca", Columns("instruction", "output", extra="input", history="history")),
    flat("dolly", Columns("instruction", "response", extra="context")),
    *(
        _completion(Columns("prompt", answer), f"prompt-{answer}")
        for answer in ("completion", "response", "answer", "output")
    ),
    flat("question-answer", Columns("question", "answer")),
    flat("query-response", Columns("query", "response")),
    flat("input-output", Columns("input", "output"), unless=("instruction", "prompt")),
    flat("user-assistant", Columns("user", "assistant")),
)
"""Every format, in the order in which they are listed to people."""

EVERY = ", ".join(known.name for known in FORMATS)


def named(name: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: there is none.
    """
    for known in FORMATS:
        if known.name == name:
            return known
    raise ConfigError(f"There is no format {name!r}.", f"Choose one of: {EVERY}")
