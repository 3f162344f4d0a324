"""Reads the five sources in the order of their precedence and keeps where each value came from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from phichat.backends.base import Settings
from phichat.config import secret, suspect
from phichat.config.checking import build
from phichat.config.schema import PATHS, Config, Key, keys_of
from phichat.config.sources import Entry, Origin, from_environment, from_file, from_flags
from phichat.paths import PROJECT_FILE, Folders, find_project

USER_FILE = "config.toml"
_RELATIVE = ("./", "../", "~", ".\\", "..\\")

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Setting:
    """One key of the configuration as `phichat check` shows it; a secret is masked."""

    key: str
    value: Any
    origin: Origin


@dataclass(frozen=True)
class Loaded:
    """The configuration, and where it came from."""

    config: Config
    project: Path | None
    """The folder of the `phichat.toml` that was read."""
    user_file: Path
    """The person's own file; it need not exist."""
    origins: Mapping[str, Origin]
    """Of every key, defaults included; dotted."""
    entries: tuple[Entry, ...] = field(default=(), repr=False)
    """What was written anywhere, what wins last."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where a backend's secrets are looked for first."""
    cwd: Path = field(default_factory=Path)
    """The folder that it was loaded for: where a project would be made."""

    def settings(self, own: type[Settings] | None = None) -> Iterator[Setting]:
        """Every key with its value and origin, in the order of the reference.

        With `own`, the settings of the chosen backend, all of its keys; of others what was written.
        """
        tree = self.config.model_dump()
        for key, _ in keys_of(Config):
            if key[0] not in ("backends", "keys"):
                yield Setting(".".join(key), _at(tree, key), self.origins[".".join(key)])
        spoken = {entry.key: entry for entry in self.entries}
        for short, about in keys_of(own) if own else ():
            key = ("backends", self.config.backend, *short)
            if key not in spoken:
                default = None if about.is_required() else about.get_default(call_default_factory=True)
                yield Setting(".".join(key), default, Origin("default", key=key))
        for entry in spoken.values():
            if entry.key[0] in ("backends", "keys"):
                hidden = entry.key[0] == "backends" and suspect.names_secret(entry.key[-1])
                yield Setting(entry.dotted, secret.MASK if hidden else entry.value, entry.origin)


def load(flags: Mapping[str, Any], environ: Mapping[str, str], cwd: Path, folders: Folders) -> Loaded:
    """The configuration that holds in `cwd`: flag over environment over project over user over default.

    Raises:
        ConfigError: a file is not TOML, a key is unknown, or a value is wrong, a placeholder or a secret.
    """
    project = find_project(cwd)
    user_file = folders.config / USER_FILE
    entries = [
        *from_file(user_file, "user"),
        *(from_file(project / PROJECT_FILE, "project") if project else []),
    ]
    entries += [*from_environment(environ), *from_flags(flags)]
    entries = _named_alike([_anchored(entry, cwd) for entry in entries])
    config = build(Config, entries)
    origins = {".".join(key): Origin("default", key=key) for key, _ in keys_of(Config)}
    origins |= {entry.dotted: entry.origin for entry in entries}
    return Loaded(config, project, user_file, origins, tuple(entries), environ, cwd.absolute())


def backend_settings(loaded: Loaded, name: str, settings_type: type[S]) -> S:
    """A backend's own settings, its secrets from the environment or the keyring.

    Raises:
        ConfigError: a key is unknown or missing, or a value is wrong, a placeholder or a secret in a file.
    """
    prefix = ("backends", name)
    entries = [entry for entry in loaded.entries if entry.key[:2] == prefix]
    for dotted in secret.secrets_of(settings_type, name):
        written = [entry for entry in entries if entry.dotted == dotted]
        for entry in written:
            secret.remember(str(entry.value))
        if not written and (found := secret.find(dotted, loaded.environ)):
            key = tuple(dotted.split("."))
            entries.append(Entry(key, found, Origin("environment", "keyring", key)))
    return build(settings_type, entries, prefix)


def _anchored(entry: Entry, cwd: Path) -> Entry:
    """The entry with an openly relative path (`./phi`) made absolute, from where it was written."""
    value = entry.value
    if entry.key not in PATHS or not isinstance(value, str) or not value.startswith(_RELATIVE):
        return entry
    folder = Path(entry.origin.where).parent if entry.origin.source in ("user", "project") else cwd
    return replace(entry, value=os.path.normpath(folder.absolute() / Path(value).expanduser()))


def _named_alike(entries: list[Entry]) -> list[Entry]:
    """The entries with backends named as elsewhere: a variable cannot spell the hyphen of `my-cloud`."""
    written = [entry for entry in entries if entry.origin.source != "environment"]
    names = {entry.key[1] for entry in written if entry.key[0] == "backends" and len(entry.key) > 1}
    names |= {str(entry.value) for entry in entries if entry.key == ("backend",)}
    spelled = {name.lower().replace("-", "_"): name for name in names}
    return [
        replace(entry, key=(entry.key[0], spelled.get(entry.key[1], entry.key[1]), *entry.key[2:]))
        if entry.key[0] == "backends" and len(entry.key) > 1 and entry.origin.source == "environment"
        else entry
        for entry in entries
    ]


def _at(tree: Mapping[str, Any], key: Key) -> Any:
    value: Any = tree
    for part in key:
        value = value[part]
    return value
