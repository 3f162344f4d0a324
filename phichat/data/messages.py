"""A message of a foreign row as a turn: its role under any of its names, and its text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from phichat.data.conversation import Role, Turn
from phichat.data.problems import Fault, Kind

Record = dict[str, Any]


@dataclass
class Notes:
    """What is noticed while rows are read."""

    faults: list[Fault] = field(default_factory=list)
    """What is wrong with the row at hand."""
    ignored: Counter[str] = field(default_factory=Counter)
    """How often each field stood there without being read, over all rows."""

    def fault(self, kind: Kind, place: str, message: str) -> None:
        """One more thing is wrong with the row."""
        self.faults.append(Fault(kind, place, message))


ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
"""Every name of a role that is understood. OpenAI's `developer` is what `system` was before."""

TOOL_ROLES = frozenset({"tool", "function", "function_call", "observation", "tool_call", "tool_response"})
TOOL_KEYS = frozenset({"tools", "functions", "tool_calls", "function_call"})
NO_TOOLS = "tool calls cannot be trained: the templates of the Phi-3 models drop them without a word"


_turns = msgspec.json.Decoder(list[Turn]).decode


def turns_of(items: Any, where: str, role_key: str, text_key: str, notes: Notes) -> list[Turn]:
    """A list of messages as turns; each message that is not one appends a fault and is left out.

    `items` may still be JSON: then the common case needs no object but the turns.
    """
    if type(items) is msgspec.Raw:
        try:
            return _turns(items) or turns_of([], where, role_key, text_key, notes)
        except msgspec.ValidationError:
            items = msgspec.json.decode(items)
    if type(items) is not list:
        notes.fault("field", where, "a list of messages is expected here.")
        return []
    if not items:
        notes.fault("empty", where, "there are no messages.")
    turns = []
    for number, item in enumerate(items):
        if type(item) is not dict:
            notes.fault("field", f"{where}[{number}]", "a message with role and text is expected here.")
            continue
        turn = _turn(item, f"{where}[{number}]", role_key, text_key, notes)
        if turn is not None:
            turns.append(turn)
    return turns


def _turn(item: Record, where: str, role_key: str, text_key: str, notes: Notes) -> Turn | None:
    """One message under any names."""
    role = _role(item, where, role_key, notes)
    if role is None:
        return None
    for key in sorted(TOOL_KEYS & item.keys()):
        if item[key]:
            notes.fault("tools", f"{where}.{key}", f"{NO_TOOLS}.")
            return None
    for key in item.keys() - {role_key, text_key, "weight", *TOOL_KEYS}:
        if item[key] is not None:
            notes.ignored[re.sub(r"\[\d+\]", "[]", f"{where}.{key}")] += 1
    content = text_of(item.get(text_key), f"{where}.{text_key}", notes)
    weight = item.get("weight")
    if weight not in (None, 0, 1):
        notes.fault("field", f"{where}.weight", "a weight is 0 or 1.")
        return None
    whole: Literal[0, 1] | None = None if weight is None else 1 if weight else 0
    return None if content is None else Turn(role, content, whole)


def _role(item: Record, where: str, role_key: str, notes: Notes) -> Role | None:
    given = item.get(role_key)
    if given is None:
        notes.fault("field", f"{where}.{role_key}", "the role is missing.")
        return None
    name = str(given).lower()
    if name in TOOL_ROLES:
        notes.fault("tools", f"{where}.{role_key}", f"{NO_TOOLS}.")
        return None
    if name not in ROLES:
        known = "system, user or assistant"
        notes.fault("role", f"{where}.{role_key}", f"{given!r} is no role: {known} is expected.")
        return None
    return ROLES[name]


def text_of(content: Any, where: str, notes: Notes) -> str | None:
    """A text, or the texts of a list of OpenAI's content parts, joined."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content:
        if all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            return "".join(part["text"] for part in content)
        notes.fault("field", where, "only texts can be trained: there is a part that is none.")
    elif content is None:
        notes.fault("empty", where, "the text is missing.")
    else:
        notes.fault("field", where, f"a text is expected here, not {_kind_of(content)}.")
    return None


def _kind_of(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "an empty list",
        dict: "an object",
    }
    return names.get(type(value), f"a {type(value).__name__}")


def refuse_tools(row: Record, notes: Notes) -> None:
    """Append a fault for every field of a row that is about tools and not blank."""
    for key in sorted(TOOL_KEYS & row.keys()):
        if row[key] not in (None, "", "[]", [], {}):
            notes.fault("tools", key, f"{NO_TOOLS}.")


def system_of(row: Record, key: str, notes: Notes) -> list[Turn]:
    """The system turn of a column that may be missing or blank."""
    value = row.get(key)
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    text = text_of(value, key, notes)
    return [] if text is None else [Turn("system", text)]
