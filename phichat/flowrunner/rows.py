"""What a flow is asked: questions, or conversations whose last answer is the one that is wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from phichat.backends.base import Value
from phichat.errors import DataError

REFERENCES = ("reference", "ground_truth", "answer")
"""How files call the answer that is wanted."""
WANTED = 'One a line: {"question": "…"}. Of a table, \'phichat data FILE\' makes train.jsonl and eval.jsonl.'


class Asked(Value):
    """One line of the file: a question, or why it is none."""

    line: int
    """Counted from 1."""
    question: str = ""
    chat_history: list[Any] = Field(default_factory=list)
    """The flow itself judges it."""
    reference: str | None = None
    error: str = ""


def read_rows(path: Path, limit: int | None = None) -> list[Asked]:
    """The rows of a file of JSON lines, at most `limit`; a line that is no question is one with an error.

    Raises:
        DataError: the file cannot be read, or none of its rows is a question.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: it takes JSON lines.", WANTED) from error
    rows = [_row(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise DataError(f"{path} has no rows.", WANTED)
    if all(row.error for row in rows[:limit]):
        told = f"{path} has no questions as JSON lines. Line {rows[0].line}: {rows[0].error}"
        raise DataError(told, WANTED)
    return rows[:limit]


def _row(number: int, line: str) -> Asked:
    try:
        fields = json.loads(line)
        if not isinstance(fields, Mapping):
            raise _NoQuestionError("It is not a JSON object.")
        return Asked(line=number, **(_conversation(fields) if "messages" in fields else _question(fields)))
    except _NoQuestionError as error:
        return Asked(line=number, error=str(error))
    except (ValueError, RecursionError) as error:
        return Asked(line=number, error=f"It is not JSON: {error}.")


def _question(fields: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(fields.get("question"), str):
        raise _NoQuestionError("It has neither `question` nor `messages`.")
    history = fields.get("chat_history") or []
    if not isinstance(history, list):
        raise _NoQuestionError("`chat_history` must be a list.")
    wanted = next((fields[name] for name in REFERENCES if isinstance(fields.get(name), str)), None)
    return {"question": fields["question"], "chat_history": history, "reference": wanted}


def _conversation(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The last question of a conversation, what was said before, and the answer that it had."""
    try:
        said = [(str(message["role"]), str(message["content"])) for message in fields["messages"]]
    except (LookupError, TypeError) as error:
        raise _NoQuestionError("`messages` must be a list of messages.") from error
    wanted = said.pop()[1] if said and said[-1][0] == "assistant" else None
    try:
        question, history = asked_last(said)
    except ValueError as error:
        raise _NoQuestionError("Its messages do not alternate between user and assistant.") from error
    return {"question": question, "chat_history": history, "reference": wanted}


def asked_last(said: Sequence[tuple[str, str]]) -> tuple[str, list[dict[str, Any]]]:
    """The question that ends a conversation of (role, text), and what was said before as a flow knows it.

    Raises:
        ValueError: user and assistant do not take turns, or the last word is not the user's.
    """
    begin = 1 if said and said[0][0] == "system" else 0
    instruction: list[dict[str, Any]] = [
        {"inputs": {"system": text}, "outputs": {}} for _, text in said[:begin]
    ]
    *before, (role, question) = said[begin:] or [("", "")]
    if [each for each, _ in before] + [role] != ["user", "assistant"] * (len(before) // 2) + ["user"]:
        raise ValueError("user and assistant do not take turns")
    turns = [
        {"inputs": {"question": asked}, "outputs": {"answer": answered}}
        for (_, asked), (_, answered) in zip(before[::2], before[1::2], strict=True)
    ]
    return question, instruction + turns


class _NoQuestionError(Exception):
    """The line is no question: one sentence that says why."""
