"""Writes the `phichat.toml` of a new project: every key, with its default and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import tomlkit
from pydantic.fields import FieldInfo

from phichat.config.checking import build
from phichat.config.schema import PERSONAL, Config, Key, keys_of
from phichat.config.sources import from_flags

_HEAD = """\
# This project's configuration. A key without '#' is set; the others show their default or an example.
# What holds, and where it comes from: phichat check. Secrets never go in here: phichat secret set NAME
"""


def new_project(flags: Mapping[str, Any]) -> str:
    """The text of a new `phichat.toml` with these values, dotted key → value, already set.

    Raises:
        ConfigError: a value is wrong.
    """
    entries = from_flags({"backend": "local", **flags})
    values = build(Config, entries).model_dump()
    given = {entry.key: _at(values, entry.key) for entry in entries}
    fields = [(key, field) for key, field in keys_of(Config) if key[0] not in (*PERSONAL, "backends")]
    lines = [_HEAD.rstrip()]
    for table, group in groupby(fields, lambda item: item[0][:-1]):
        lines += ["", f"[{'.'.join(table)}]"] if table else [""]
        lines += [_line(key, field, given) for key, field in group]
    return "\n".join([*lines, *_backends(given)]) + "\n"


def _line(key: Key, field: FieldInfo, given: Mapping[Key, Any]) -> str:
    shown = given.get(key, field.default)
    if shown is None:
        shown = (field.examples or [""])[0]
    assignment = f"{key[-1]} = {tomlkit.item(shown).as_string()}"
    return f"{'' if key in given else '# '}{assignment:<28}  # {field.description}"


def _backends(given: Mapping[Key, Any]) -> Iterator[str]:
    ours = sorted((key, value) for key, value in given.items() if key[0] == "backends")
    for table, group in groupby(ours, lambda item: item[0][:-1]):
        yield from ("", f"[{'.'.join(table)}]")
        yield from (f"{key[-1]} = {tomlkit.item(value).as_string()}" for key, value in group)


def _at(tree: Mapping[str, Any], key: Key) -> Any:
    value: Any = tree
    for part in key:
        value = value[part]
    return value
