"""What the flags of a command line say about the project and its configuration."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from phichat.config.sources import FLAGS, Assigned
from phichat.errors import ConfigError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from phichat.workflow import Project


def open_project(args: argparse.Namespace) -> Project:
    """The project that the command line is about; what is over its time there is told.

    Raises:
        ConfigError: a flag, variable or key is wrong, or `--project` is not a folder.
    """
    from phichat.cli.terminal import narrate
    from phichat.workflow import Project
    from phichat.workflow.lifetimes import overdue

    project = Project.open(folder(args), flags=config_flags(args))
    # The application tells it on its own screen, `down` by what it asks.
    if args.verb not in (None, "down") and (told := overdue(project)):
        narrate(f"phichat: {told}")
    return project


def folder(args: argparse.Namespace) -> Path:
    """The folder to work in.

    Raises:
        ConfigError: `--project` names something else.
    """
    if "project" not in args:
        return Path.cwd()
    path = Path(os.path.normpath(Path(args.project).expanduser().absolute()))
    if not path.is_dir():
        refuse_file(path)
        raise ConfigError(f"{path} is not a folder.", f"phichat init {args.project}")
    return path


def refuse_file(path: Path) -> None:
    """Refuse a path that can be no folder, as there is a file in its place or on the way to it.

    Raises:
        ConfigError: it can be none.
    """
    there = next((place for place in (path, *path.parents) if place.exists()), None)
    if there and not there.is_dir():
        raise ConfigError(f"{there} is a file, not a folder.", f"Its folder is {there.parent}")


def config_flags(args: argparse.Namespace) -> dict[str, Any]:
    """The flags that set keys of the configuration, by dotted key.

    Raises:
        ConfigError: a `--set` is not `KEY=VALUE`.
    """
    given = vars(args)
    flags = {key: given[key] for key in FLAGS if key in given}
    pairs = [pair for name, some in given.items() if name.startswith("set ") for pair in some]
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise ConfigError(f"--set {pair} is not KEY=VALUE.", "For example: --set data.seed=1")
        flags[key.strip()] = Assigned(value)
    return flags


def add_config_flags(parser: argparse.ArgumentParser, *keys: str) -> None:
    """Give a command the flags of these keys, described as the configuration describes them."""
    from phichat.config.schema import Config, keys_of

    fields = {".".join(key): field for key, field in keys_of(Config)}
    for key in keys:
        parser.add_argument(
            FLAGS[key],
            dest=key,
            default=argparse.SUPPRESS,
            help=_described(fields[key]).replace("%", "%%"),
            **_form(key, fields[key].annotation),
        )


def _described(field: FieldInfo) -> str:
    """What a key is, and the number that it is where nobody says one."""
    told = field.description or ""
    counted = isinstance(field.default, int | float) and not isinstance(field.default, bool)
    return f"{told}; default: {field.default}" if counted else told


def _form(key: str, annotation: Any) -> dict[str, Any]:
    """How a value is written on the command line; what it may be is judged with the whole configuration."""
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not type(None)]
    if kinds == [bool]:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(kinds[0]) is tuple:
        return {"metavar": "NAME,…", "type": lambda text: [each.strip() for each in text.split(",")]}
    if get_origin(kinds[0]) is Literal:
        return {"metavar": "|".join(get_args(kinds[0]))}
    if kinds[0] in (int, float):
        return {"metavar": "N"}
    return {"metavar": FLAGS[key].rpartition("-")[2].upper()}
