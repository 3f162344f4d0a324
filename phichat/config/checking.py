"""Turns entries into a validated model, or into every problem that a person has to mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from phichat.config import suspect
from phichat.config.problems import Problem, fail, plain, unknown
from phichat.config.schema import PERSONAL, Key, keys_of
from phichat.config.sources import Entry, variable

M = TypeVar("M", bound=BaseModel)


def build(model: type[M], entries: Sequence[Entry], prefix: Key = ()) -> M:
    """The model that the entries, all below `prefix`, describe.

    Raises:
        ConfigError: with every problem of every entry.
    """
    built, problems = examine(model, entries, prefix)
    if problems or built is None:
        raise fail(problems)
    return built


def examine(model: type[M], entries: Sequence[Entry], prefix: Key = ()) -> tuple[M | None, list[Problem]]:
    """The model that the entries describe, if they do, and every problem."""
    built: M | None = None
    fields = {(*prefix, *key): field for key, field in keys_of(model)}
    judged = [(entry, judge(entry, fields)) for entry in entries]
    problems = [problem for _, problem in judged if problem]
    sound = {entry.key: entry for entry, problem in judged if not problem}
    try:
        built = model.model_validate(_nested(sound.values(), prefix))
    except ValidationError as error:
        problems += _translated(error, sound, fields, prefix)
    return built, problems


def judge(entry: Entry, fields: Mapping[Key, FieldInfo]) -> Problem | None:
    """What is wrong with an entry before its type is looked at: a secret, a placeholder, a stray."""
    field = _field_of(entry.key, fields)
    if is_secret(field):
        return None if entry.origin.source == "environment" else _in_the_open(entry)
    if _leaks(entry, known=entry.key in fields):
        return _in_the_open(entry)
    if suspect.is_placeholder(entry.value):
        what = f"is still the placeholder {entry.value!r}"
        return Problem(entry.key, what, "Put the real value there, or remove it.", entry.origin)
    if field is None:
        return _stray(entry, fields)
    if entry.key[0] in PERSONAL and entry.origin.source == "project":
        what = "belongs to the person, not to the project"
        return Problem(
            entry.key, what, "Move it to your own file: 'phichat check' shows its path.", entry.origin
        )
    return None


def is_secret(field: FieldInfo | None) -> bool:
    """Whether a field holds a secret, as its type says."""
    if field is None:
        return False
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def _leaks(entry: Entry, known: bool) -> bool:
    """Whether somebody wrote a secret where it can be read."""
    if entry.origin.source == "environment":
        return False
    named = not known and entry.key[0] != "keys" and suspect.names_secret(entry.key[-1])
    return (named and isinstance(entry.value, str)) or suspect.looks_like_key(entry.value)


def _in_the_open(entry: Entry) -> Problem:
    where = "a command line" if entry.origin.source == "flag" else "a file"
    return Problem(
        entry.key,
        f"is a secret, and {where} is no place for one",
        f"Remove it, then run: phichat secret set {entry.dotted} (or set {variable(entry.dotted)}).",
        entry.origin,
    )


def _stray(entry: Entry, fields: Mapping[Key, FieldInfo]) -> Problem:
    tables = {key[:length] for key in fields for length in range(1, len(key))}
    if entry.key in tables:
        hint = f"Write [{entry.dotted}] on a line of its own and its keys below."
        return Problem(entry.key, "is a table, not a value", hint, entry.origin)
    return unknown(entry, fields)


def _field_of(key: Key, fields: Mapping[Key, FieldInfo]) -> FieldInfo | None:
    """The field of a key: its own, or that of the open table (a `dict`) which it stands in."""
    if key in fields:
        return fields[key]
    parents = (fields.get(key[:length]) for length in range(len(key) - 1, 0, -1))
    return next((field for field in parents if field and get_origin(field.annotation) is dict), None)


def _nested(entries: Iterable[Entry], prefix: Key) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for entry in entries:
        table = root
        *parents, last = entry.key[len(prefix) :]
        for parent in parents:
            if not isinstance(table.get(parent), dict):
                table[parent] = {}
            table = table[parent]
        table[last] = entry.value
    return root


def _translated(
    error: ValidationError, entries: Mapping[Key, Entry], fields: Mapping[Key, FieldInfo], prefix: Key
) -> Iterator[Problem]:
    for each in error.errors(include_url=False):
        place = (*prefix, *map(str, each["loc"]))
        entry = next((entries[place[:n]] for n in range(len(place), 0, -1) if place[:n] in entries), None)
        key = entry.key if entry else place
        field = fields.get(key)
        description = ((field.description if field else "") or "").rstrip(".")
        value = "…" if is_secret(field) else each["input"]
        hint = _how_to_set(key, is_secret(field)) if entry is None else ""
        meaning = f"{key[-1]}: {description}." if description else ""
        yield Problem(key, plain(each, value), f"{hint} {meaning}".strip(), entry.origin if entry else None)


def _how_to_set(key: Key, secret: bool) -> str:
    dotted = ".".join(key)
    if secret:
        return f"Run: phichat secret set {dotted} (or set {variable(dotted)})."
    return f"Set {key[-1]} under [{'.'.join(key[:-1])}] in phichat.toml, or {variable(dotted)}."
