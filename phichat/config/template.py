"""Writes the `phichat.toml` of a new project: every key, with its default and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import tomlkit
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from phichat.backends.registry import Registry
from phichat.config.checking import build, is_secret
from phichat.config.schema import PERSONAL, Config, Key, keys_of
from phichat.config.sources import from_flags
from phichat.errors import PhichatError

_HEAD = """\
# This project's configuration. A key without '#' is set; the others show their default or an example.
# What holds, and where it comes from: phichat check. Secrets never go in here: phichat secret set NAME
"""


def new_project(flags: Mapping[str, Any], registry: Registry | None = None) -> str:
    """The text of a new `phichat.toml` with these values, dotted key → value, already set.

    It has the settings of the chosen backend, if that is installed.

    Raises:
        ConfigError: a value is wrong.
    """
    entries = from_flags({"backend": "local", **flags})
    values = build(Config, entries).model_dump()
    given = {entry.key: _at(values, entry.key) for entry in entries}
    fields = [(key, field) for key, field in keys_of(Config) if key[0] not in (*PERSONAL, "backends")]
    lines = [_HEAD.rstrip()]
    chosen = str(given["backend",])
    own = _settings_of(chosen, registry or Registry())
    fields += own
    typed = {key: _typed(field, given[key]) for key, field in own if key in given}
    for table, group in groupby(fields, lambda item: item[0][:-1]):
        lines += ["", f"[{'.'.join(table)}]"] if table else [""]
        lines += [_line(key, field, {**given, **typed}) for key, field in group]
    rest = {key: value for key, value in given.items() if key not in typed}
    return "\n".join([*lines, *_backends(rest)]) + "\n"


def _settings_of(backend: str, registry: Registry) -> list[tuple[Key, FieldInfo]]:
    """The settings of a backend's own; none where it cannot be loaded, which is told when it is used."""
    try:
        settings_type = registry.load(backend).settings_type
    except PhichatError:
        return []
    return [(("backends", backend, *key), field) for key, field in keys_of(settings_type)]


def _typed(field: FieldInfo, value: Any) -> Any:
    """A value of the command line as the field has it; one that is wrong is told when it is read."""
    kind: Any = field.annotation
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return value


def _line(key: Key, field: FieldInfo, given: Mapping[Key, Any]) -> str:
    if is_secret(field):
        return f"# {key[-1]} is a secret: phichat secret set {'.'.join(key)}  # {field.description}"
    shown = given.get(key, None if field.is_required() else field.get_default(call_default_factory=True))
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
