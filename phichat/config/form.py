"""The settings as rows of a form: what each holds, where that comes from, and whether a new value will do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from phichat import models
from phichat.backends.base import Settings
from phichat.config.checking import build, examine, is_secret
from phichat.config.loading import Loaded, backend_settings
from phichat.config.schema import PERSONAL, Config, Key, keys_of
from phichat.config.sources import FLAGS, Entry, Origin, variable
from phichat.errors import ConfigError
from phichat.paths import PROJECT_FILE

Kind = Literal["text", "whole", "number", "choice", "list", "secret"]
UNSET = ""
"""The text of a field that says nothing: what stands below it in the order of precedence holds."""


@dataclass(frozen=True)
class Row:
    """One setting of the form."""

    key: Key
    description: str
    kind: Kind
    choices: tuple[str, ...]
    """Where only these are possible, besides saying nothing."""
    written: str
    """What the project's file says; `UNSET` where it says nothing."""
    holds: str
    """What holds where the project's file says nothing, or where something stronger speaks."""
    origin: Origin
    """Of the value that holds now."""

    @property
    def dotted(self) -> str:
        """The key as people write it."""
        return ".".join(self.key)

    @property
    def flag(self) -> str:
        """How the command line says it."""
        return FLAGS.get(self.dotted, f"--set {self.dotted}=…")

    @property
    def variable(self) -> str:
        """How the environment says it."""
        return variable(self.dotted)

    @property
    def overruled(self) -> bool:
        """Whether a flag or a variable speaks, so that the file is not heard."""
        return self.origin.source in ("flag", "environment") and self.kind != "secret"


def project_rows(loaded: Loaded) -> list[Row]:
    """Every setting of a project, but for its backend's own and for what belongs to the person."""
    tree = loaded.config.model_dump()
    return [
        _row(loaded, key, field, _at(tree, key))
        for key, field in keys_of(Config)
        if key[0] not in (*PERSONAL, "backends")
    ]


def backend_rows(loaded: Loaded, name: str, settings_type: type[Settings]) -> list[Row]:
    """Every setting of a backend of its own, whether it is the chosen one or not."""
    prefix = ("backends", name)
    spoken = {entry.key: entry.value for entry in loaded.entries}
    return [
        _row(loaded, (*prefix, *key), field, spoken.get((*prefix, *key), field.get_default()))
        for key, field in keys_of(settings_type)
    ]


def value_of(row: Row, text: str) -> Any:
    """What a text in the form means, as TOML has it; a text that means nothing stays one, to be refused."""
    text = text.strip()
    if row.kind == "list":
        return [each.strip() for each in text.split(",") if each.strip()]
    if row.kind == "choice" and set(row.choices) == {"true", "false"}:
        return {"true": True, "false": False}.get(text, text)
    for kind in (int, float) if row.kind == "number" else (int,) if row.kind == "whole" else ():
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def fault_of(row: Row, text: str, model: type[BaseModel]) -> str:
    """What is wrong with a text in the form, as one or two sentences; empty when nothing is.

    `model` is `Config`, or the settings of the backend that the row belongs to.
    """
    if text.strip() == UNSET or row.kind == "secret":
        return ""
    if row.choices and text not in row.choices:
        near = get_close_matches(text, row.choices, n=1)
        return f"Did you mean {near[0]}?" if near else f"It is one of {', '.join(row.choices)}."
    if row.key == ("base_model",):
        try:
            models.resolve(text.strip())
        except ConfigError as error:
            return f"{error.message} {error.hint}"
    prefix = () if model is Config else row.key[:2]
    entry = Entry(row.key, value_of(row, text), Origin("project", key=row.key))
    _, problems = examine(model, [entry], prefix)
    own = [problem for problem in problems if problem.key[: len(row.key)] == row.key]
    return f"It {own[0].what}. {_without_name(own[0].hint, row)}".strip() if own else ""


def try_out(
    loaded: Loaded, changes: Mapping[Key, Any], backend: str, settings_type: type[Settings] | None
) -> None:
    """Whether the configuration would hold with these changes; None for a value takes it out of the file.

    Raises:
        ConfigError: with every problem.
    """
    kept = [each for each in loaded.entries if each.origin.source != "project" or each.key not in changes]
    file = str(project_file(loaded))
    written = [
        Entry(key, value, Origin("project", file, key)) for key, value in changes.items() if value is not None
    ]
    strong = [each for each in kept if each.origin.source in ("environment", "flag")]
    entries = [*(each for each in kept if each not in strong), *written, *strong]
    build(Config, entries)
    if settings_type:
        backend_settings(replace(loaded, entries=tuple(entries)), backend, settings_type)


def project_file(loaded: Loaded) -> Path:
    """The file that a project's settings are written into; it may not be there yet."""
    return (loaded.project or loaded.cwd) / PROJECT_FILE


def _row(loaded: Loaded, key: Key, field: FieldInfo, value: Any) -> Row:
    entries = [entry for entry in loaded.entries if entry.key == key]
    written = next((entry.value for entry in entries if entry.origin.source == "project"), None)
    others = [entry for entry in entries if entry.origin.source != "project"]
    below = value if entries and entries[-1].origin.source != "project" else None
    if below is None:
        below = others[-1].value if others else field.get_default()
    kind, choices = _form(field)
    origin = entries[-1].origin if entries else Origin("default", key=key)
    description = (field.description or "").strip()
    return Row(
        key,
        description[:1].upper() + description[1:],
        kind,
        choices,
        UNSET if written is None or kind == "secret" else text_of(written),
        UNSET if kind == "secret" else text_of(below),
        origin,
    )


def text_of(value: Any) -> str:
    """A value as the form shows it."""
    if value is None:
        return UNSET
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def _form(field: FieldInfo) -> tuple[Kind, tuple[str, ...]]:
    if is_secret(field):
        return "secret", ()
    kinds: Sequence[Any] = [field.annotation]
    if get_origin(field.annotation) is not Literal and type(None) in get_args(field.annotation):
        kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    kind = kinds[0]
    if kind is bool:
        return "choice", ("true", "false")
    if get_origin(kind) is Literal:
        return "choice", tuple(map(str, get_args(kind)))
    if get_origin(kind) in (tuple, list):
        return "list", ()
    return {int: "whole", float: "number"}.get(kind, "text"), ()  # type: ignore[return-value]


def _without_name(hint: str, row: Row) -> str:
    """A hint without the field's own description, which the form shows beside it."""
    return hint.partition(f"{row.key[-1]}: ")[0].strip()


def _at(tree: Mapping[str, Any], key: Key) -> Any:
    value: Any = tree
    for part in key:
        value = value[part]
    return value
