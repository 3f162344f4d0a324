"""The places that configuration is read from, each as a list of entries that know where they came from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from phichat.config.schema import Key
from phichat.config.train import TrainConfig
from phichat.errors import ConfigError

Source = Literal["default", "user", "project", "environment", "flag"]
PREFIX = "PHICHAT_"
RESERVED = frozenset(
    {"PHICHAT_HOME", "PHICHAT_CACHE", "PHICHAT_SERVE_KEY", "PHICHAT_HF_TOKEN", "PHICHAT_HISTORY__KEY"}
)
"""Variables that are not configuration: folders, the server's key, and the secrets of no backend."""

FLAGS: Mapping[str, str] = {
    "backend": "--backend",
    "base_model": "--model",
    "data.split": "--split",
    "data.test_size": "--test-size",
    "data.seed": "--seed",
    "data.max_length": "--max-length",
    "deploy.gradual": "--gradual",
    "chat.system": "--system",
    "chat.temperature": "--temperature",
    "chat.top_p": "--top-p",
    "chat.max_new_tokens": "--max-new-tokens",
    "chat.seed": "--seed",
    **{f"train.{name}": f"--{name.replace('_', '-')}" for name in TrainConfig.model_fields},
}
"""Keys that have a flag of their own; every other is given with `--set KEY=VALUE`."""


class Assigned(str):
    """A value that `--set` gave, which may be a key with a flag of its own that the command has not."""


@dataclass(frozen=True)
class Origin:
    """Where a value came from."""

    source: Source
    where: str = ""
    """Path of the file, name of the variable, or the flag; empty for a default."""
    key: Key = ()

    def __str__(self) -> str:
        if self.source not in ("user", "project"):
            return self.where or self.source
        line = line_of(Path(self.where), self.key)
        return f"{self.where}:{line}" if line else self.where


@dataclass(frozen=True)
class Entry:
    """One value as it was written."""

    key: Key
    value: Any
    origin: Origin

    @property
    def dotted(self) -> str:
        """The key as people write it."""
        return ".".join(self.key)


def from_file(path: Path, source: Literal["user", "project"]) -> list[Entry]:
    """The entries of a TOML file; none if it does not exist.

    Raises:
        ConfigError: it cannot be read or is not TOML.
    """
    try:
        # Editors on Windows may begin a file with a byte order mark, which TOML does not allow.
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return []
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, str(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text.", "Save it again with the encoding UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    return [Entry(key, value, Origin(source, str(path), key)) for key, value in _leaves(table)]


def from_environment(environ: Mapping[str, str]) -> list[Entry]:
    """The entries of all `PHICHAT_…` variables; an empty one counts as not set."""
    return [
        Entry(key, _value(text), Origin("environment", name, key))
        for name, text in sorted(environ.items())
        if name.startswith(PREFIX) and name not in RESERVED and text
        for key in [_joined(tuple(name.removeprefix(PREFIX).lower().split("__")))]
    ]


def from_flags(flags: Mapping[str, Any]) -> list[Entry]:
    """The entries of the command line, dotted key → value."""
    return [
        Entry(key, _value(value), Origin("flag", _flag(name, value), key))
        for name, value in flags.items()
        for key in [_joined(tuple(name.split(".")))]
    ]


def _flag(name: str, value: Any) -> str:
    """How the value of a dotted key was given."""
    return f"--set {name}" if isinstance(value, Assigned) else FLAGS.get(name, f"--set {name}")


def variable(key: str) -> str:
    """The environment variable of a dotted key."""
    return PREFIX + key.upper().replace(".", "__").replace("-", "_")


def line_of(path: Path, key: Key) -> int | None:
    """The line on which a TOML file sets a key, counted from 1; None if it cannot be told."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError):
        return None
    # tomllib keeps no positions. The first lines that are whole by themselves and hold the key end with it;
    # those before them that were whole too end where it starts.
    start = 1
    for end in range(1, len(lines) + 1):
        try:
            table = tomllib.loads("".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        if any(found[: len(key)] == key for found, _ in _leaves(table)):
            return start
        start = end + 1
    return None


def _leaves(table: Mapping[str, Any], prefix: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, value in table.items():
        key = (*prefix, name)
        if isinstance(value, dict):
            yield from _leaves(value, key)
        else:
            yield _joined(key), value


def _joined(key: Key) -> Key:
    """Bindings have dotted names, which TOML reads as tables when nobody quotes them."""
    return ("keys", ".".join(key[1:])) if key[0] == "keys" and len(key) > 1 else key


def _value(written: Any) -> Any:
    """What a text from the environment or a flag means: itself, or the TOML list or table it spells."""
    if isinstance(written, str) and written[:1] in ("[", "{"):
        try:
            return tomllib.loads(f"value = {written}")["value"]
        except tomllib.TOMLDecodeError:
            pass
    return str(written) if isinstance(written, Assigned) else written


def _not_toml(path: Path, complaint: str) -> ConfigError:
    found = re.match(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", complaint, re.DOTALL)
    reason = (found[1] if found else complaint).rstrip(".")
    place = f", line {found[2]}, column {found[3]}," if found and found[2] else ""
    hints = {
        "Invalid value": 'Text needs quotes: backend = "local".',
        "Invalid hex": r"A Windows path needs single quotes: 'C:\models\phi'.",
        "Unescaped": r"A Windows path needs single quotes: 'C:\models\phi'.",
        "Cannot": "The same key or table is there twice: remove one.",
    }
    hint = next((hints[begins] for begins in hints if reason.startswith(begins)), "")
    return ConfigError(f"{path}{place} is not valid TOML: {reason[:1].lower()}{reason[1:]}.", hint)
