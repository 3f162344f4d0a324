"""`phichat init`: a folder becomes a project."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take the folder; `--backend` and `--set` are written into the new file."""
    parser.add_argument(
        "folder", metavar="DIR", nargs="?", default=".", help="made if it is not there; default: this one"
    )


def run(args: argparse.Namespace) -> int:
    """Write `phichat.toml` and a `.gitignore`; an existing project is left alone.

    Raises:
        ConfigError: it is a project already, the folder cannot be written, a `--set` is wrong, or there is
            no such backend.
        PluginError: the backend is broken.
    """
    from phichat.backends.registry import Registry
    from phichat.cli.options import config_flags, folder, refuse_file
    from phichat.cli.terminal import narrate, out
    from phichat.config.saving import ignore_state
    from phichat.config.template import new_project
    from phichat.errors import ConfigError
    from phichat.paths import PROJECT_FILE, write_atomic

    place = folder(args) / Path(args.folder).expanduser()
    refuse_file(place.absolute())
    file = place / PROJECT_FILE
    if file.exists():
        raise ConfigError(f"{place.resolve()} is a project already.", f"Edit {file.resolve()}")
    flags = config_flags(args)
    Registry().load(str(flags.get("backend", "local")))
    text = new_project(flags)
    try:
        write_atomic(file, text)
        ignore_state(place / ".gitignore")
    except OSError as error:
        raise ConfigError(f"{error.filename or place} cannot be written: {error.strerror}.") from error
    out(str(file.resolve()))
    narrate(f"Next: {_way(place.resolve())}phichat check")
    return 0


def _way(place: Path) -> str:
    """How to get into the project from here."""
    here = Path.cwd()
    if place == here:
        return ""
    return f"cd {shlex.quote(str(place.relative_to(here) if place.is_relative_to(here) else place))}, then "
