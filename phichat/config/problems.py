"""Says in plain words what is wrong with a value: which key, where it was written, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phichat.config.schema import Key
from phichat.config.sources import Entry, Origin, variable
from phichat.errors import ConfigError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one key."""

    key: Key
    what: str
    """Goes on after the key: "must be …", "is not …"."""
    hint: str
    origin: Origin | None = None
    """None: nobody wrote it, and somebody must."""

    def __str__(self) -> str:
        return f"{subject(self.key, self.origin)} {self.what}."


def fail(problems: Sequence[Problem]) -> ConfigError:
    """The error that tells all problems at once."""
    if len(problems) == 1:
        return ConfigError(str(problems[0]), problems[0].hint)
    lines = [f"  {problem} {problem.hint}".rstrip() for problem in problems]
    return ConfigError("\n".join([f"The configuration has {len(problems)} problems:", *lines]))


def subject(key: Key, origin: Origin | None) -> str:
    """The key and its place, as a sentence begins."""
    dotted = ".".join(key)
    if origin is None:
        return dotted
    if origin.source == "environment":
        return f"The environment variable {origin.where}"
    if origin.source == "flag":
        return f"The flag {origin.where}"
    return f"{dotted} ({origin})"


def unknown(entry: Entry, known: Iterable[Key]) -> Problem:
    """The problem of a key that nobody knows, with the one that was probably meant."""
    keys = list(known)
    meant = nearest(entry.key, keys)
    if meant:
        hint = f"Did you mean {' or '.join(_spelled(key, entry.origin) for key in meant)}?"
    else:
        siblings = [key for key in keys if key[:-1] == entry.key[:-1]] or keys
        hint = f"Known here: {', '.join(_spelled(key, entry.origin) for key in siblings)}."
    return Problem(entry.key, "is not a key that phichat knows", hint, entry.origin)


def nearest(key: Key, known: Sequence[Key]) -> list[Key]:
    """The keys that were probably meant: of the same name elsewhere, or spelled alike."""
    same = [each for each in known if each[-1] == key[-1]]
    if same:
        return same
    dotted = {".".join(each): each for each in known}
    close = difflib.get_close_matches(".".join(key), dotted, n=1, cutoff=0.75)
    if close:
        return [dotted[close[0]]]
    names = difflib.get_close_matches(key[-1], [each[-1] for each in known], n=1, cutoff=0.75)
    if names:
        return [each for each in known if each[-1] == names[0]]
    # Nothing is called like that; then perhaps the table is misspelled: [backend.local].
    tables = difflib.get_close_matches(key[0], [each[0] for each in known if each[0] != key[0]], n=1)
    return [(tables[0], *key[1:])] if tables and len(key) > 1 else []


def plain(error: Mapping[str, Any], value: Any) -> str:
    """What a pydantic error means, without its jargon: "must be …, not …"."""
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind in _ALONE:
        return _ALONE[kind]
    says = _TYPES.get(kind.partition("_")[0])
    for limited, (words, name) in _LIMITS.items():
        if kind == limited:
            limit = context[name]
            says = f"must be {words}{limit:g}" if isinstance(limit, float) else f"must be {words}{limit}"
    if says:
        return f"{says}, not {_short(value)}"
    reason = str(context.get("error", error["msg"]))
    return f"is not right: {reason[:1].lower()}{reason[1:].rstrip('.')}"


_ALONE = {"missing": "is missing", "string_too_short": "must not be empty"}
_LIMITS = {
    "greater_than": ("greater than ", "gt"),
    "greater_than_equal": ("at least ", "ge"),
    "less_than": ("less than ", "lt"),
    "less_than_equal": ("at most ", "le"),
    "literal_error": ("", "expected"),
    "enum": ("", "expected"),
}
_TYPES = {
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a number",
    "bool": "must be true or false",
    "string": "must be text",
    "dict": "must be a table",
    "model": "must be a table",
    "list": "must be a list",
    "tuple": "must be a list",
    "path": "must be a path",
    "url": "must be a URL",
}


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def _spelled(key: Key, origin: Origin) -> str:
    dotted = ".".join(key)
    if origin.source == "environment":
        return variable(dotted)
    if origin.source == "flag":
        return f"--set {dotted}=…"
    return dotted if len(key) == 1 else f"{key[-1]} under [{'.'.join(key[:-1])}]"
