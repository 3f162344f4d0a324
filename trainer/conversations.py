"""Chat JSONL: one conversation a line, checked as it is read, so that memory holds one at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failures import TrainError

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Conversation:
    """One row: its messages as a chat template takes them, and which of the assistant's turns are learned."""

    line: int
    """Counted from 1."""
    messages: tuple[dict[str, str], ...]
    learned: tuple[bool, ...]
    """One for each turn of the assistant; false where the row gives it the weight 0."""


def read(path: Path) -> Iterator[Conversation]:
    """The conversations of a file, in its order; empty lines are passed over.

    Raises:
        TrainError: the file cannot be read or has no rows, or a row is wrong: its line and field are named.
    """
    empty = True
    for number, text in _lines(path):
        if text.strip():
            empty = False
            try:
                yield _conversation(number, text)
            except ValueError as error:
                raise TrainError(f"{path.name}, line {number}: {error}.") from error
    if empty:
        raise TrainError(f"{path} holds no conversations.")


def fingerprint(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TrainError(f"{path} cannot be read: {error.strerror}.") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from enumerate(file, start=1)
    except OSError as error:
        raise TrainError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TrainError(f"{path} is not UTF-8 text.") from error


def _conversation(line: int, text: str) -> Conversation:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from error
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages:
        raise ValueError('"messages" must be a list of messages')
    for at, message in enumerate(messages):
        _check(f"messages[{at}]", message)
    learned = tuple(message.get("weight", 1) != 0 for message in messages if message["role"] == "assistant")
    if not any(learned):
        raise ValueError('"messages" has no turn of the assistant to learn from')
    turns = tuple({"role": message["role"], "content": message["content"]} for message in messages)
    return Conversation(line, turns, learned)


def _check(where: str, message: Any) -> None:
    if not isinstance(message, dict):
        raise ValueError(f'"{where}" must be an object')
    if message.get("role") not in ROLES:
        raise ValueError(f'"{where}.role" must be one of {", ".join(ROLES)}')
    if not isinstance(message.get("content"), str):
        raise ValueError(f'"{where}.content" must be a text')
    if message["role"] == "assistant" and not message["content"].strip():
        raise ValueError(f'"{where}.content" is empty: there is nothing to learn from')
    if message.get("weight") not in (None, 0, 1):
        raise ValueError(f'"{where}.weight" must be 0 or 1')
