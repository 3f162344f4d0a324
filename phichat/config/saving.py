"""Changes a `phichat.toml` and leaves everything else in it as it is: comments, order, and empty lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

from phichat.config.schema import Key
from phichat.config.template import new_project
from phichat.errors import ConfigError
from phichat.paths import STATE_FOLDER, write_atomic


def save(file: Path, changes: Mapping[Key, Any]) -> None:
    """Write changes into a project's file, which is made if it is not there; None takes a key out.

    Raises:
        ConfigError: the file cannot be read or written, or is not TOML.
    """
    try:
        if not file.exists():
            backend = changes.get(("backend",))
            text = new_project({"backend": backend} if backend else {})
            write_atomic(file, edited(text, changes))
            ignore_state(file.with_name(".gitignore"))
            return
        write_atomic(file, edited(file.read_text(encoding="utf-8-sig"), changes))
    except OSError as error:
        raise ConfigError(f"{error.filename or file} cannot be written: {error.strerror}.") from error
    except (ValueError, tomlkit.exceptions.TOMLKitError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}.", "Mend it in an editor first.") from error


def edited(text: str, changes: Mapping[Key, Any]) -> str:
    """The text with these changes."""
    for key, value in changes.items():
        text = _taken_out(text, key) if value is None else _put_in(text, key, value)
    return text


def _put_in(text: str, key: Key, value: Any) -> str:
    document = tomlkit.parse(text)
    table = _table(document, key)
    missing = table is None or key[-1] not in table
    if missing and (uncommented := _uncommented(text, key, value)):
        return uncommented
    if table is None:
        table = _made(document, key)
    table[key[-1]] = value
    return tomlkit.dumps(document)


def _taken_out(text: str, key: Key) -> str:
    document = tomlkit.parse(text)
    table = _table(document, key)
    if table is not None and key[-1] in table:
        table.remove(key[-1])
    return tomlkit.dumps(document)


def _table(document: Any, key: Key) -> Any:
    """The table that a key stands in, or None."""
    table = document
    for part in key[:-1]:
        if part not in table:
            return None
        table = table[part]
    return table


def _made(document: Any, key: Key) -> Any:
    table = document
    for part in key[:-1]:
        if part not in table:
            table[part] = tomlkit.table(is_super_table=part != key[-2])
        table = table[part]
    assert isinstance(table, Table) or table is document
    return table


def _uncommented(text: str, key: Key, value: Any) -> str:
    """The text with the value on the line that showed the key as a comment; empty if there is none."""
    header = f"[{'.'.join(key[:-1])}]"
    lines = text.splitlines(keepends=True)
    within = len(key) == 1
    for number, line in enumerate(lines):
        if line.startswith("["):
            within = line.partition("#")[0].strip() == header
        found = re.match(rf"# ?{re.escape(key[-1])} = (?:\"[^\"]*\"|[^#\n]*?)\s*(#.*)?\n?$", line)
        if within and found:
            assignment = f"{key[-1]} = {tomlkit.item(value).as_string()}"
            lines[number] = f"{assignment:<28}  {found[1] or ''}".rstrip() + "\n"
            return "".join(lines)
    return ""


def ignore_state(file: Path) -> None:
    """Keep the project's state out of git, whatever else the file says."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if f"{STATE_FOLDER}/" not in text.splitlines():
        gap = "" if not text or text.endswith("\n") else "\n"
        write_atomic(file, f"{text}{gap}{STATE_FOLDER}/\n")
