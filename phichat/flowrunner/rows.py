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


class Asked(Value):
    """One line of the file: a question, or why it is none."""

    line: int
    """Counted from 1."""
    question: str = ""
    chat_history: list[Any] = Field(default_factory=list)
    """The flow itself judges it."""
    system: str = ""
    reference: str | None = None
    error: str = ""


def read_rows(path: Path, limit: int | None = None) -> list[Asked]:
    """The rows of a file of JSON lines, at most `limit`; a line that is no question is one with an error.

    Raises:
        DataError: the file cannot be read, or has no rows.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text.") from error
    rows = [_row(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise DataError(f"{path} has no rows.", 'One a line: {"question": "…"}')
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
    history, system = fields.get("chat_history") or [], fields.get("system") or ""
    if not isinstance(history, list) or not isinstance(system, str):
        raise _NoQuestionError("`chat_history` must be a list, and `system` a text.")
    wanted = next((fields[name] for name in REFERENCES if isinstance(fields.get(name), str)), None)
    return {"question": fields["question"], "chat_history": history, "system": system, "reference": wanted}


def _conversation(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The last question of a conversation, what was said before, and the answer that it had."""
    try:
        said = [(str(message["role"]), str(message["content"])) for message in fields["messages"]]
    except (LookupError, TypeError) as error:
        raise _NoQuestionError("`messages` must be a list of messages.") from error
    system = said.pop(0)[1] if said and said[0][0] == "system" else ""
    wanted = said.pop()[1] if said and said[-1][0] == "assistant" else None
    if not said or [role for role, _ in said] != ["user", "assistant"] * (len(said) // 2) + ["user"]:
        raise _NoQuestionError("Its messages do not alternate between user and assistant.")
    return {
        "question": said[-1][1],
        "chat_history": turns(said[:-1]),
        "system": system,
        "reference": wanted,
    }


def turns(said: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Questions and answers in turn, as a flow knows what was said before."""
    return [
        {"inputs": {"question": asked}, "outputs": {"answer": answered}}
        for (_, asked), (_, answered) in zip(said[::2], said[1::2], strict=True)
    ]


class _NoQuestionError(Exception):
    """The line is no question: one sentence that says why."""
