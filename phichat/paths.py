"""Where things lie: the project, its state, the user's folders, and the bundled trainer and flows."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import PlatformDirs
from platformdirs.api import PlatformDirsABC

from phichat.errors import ConfigError

PROJECT_FILE = "phichat.toml"
STATE_FOLDER = ".phichat"
OUTSIDE = "default"
"""Where in the person's data the state of work outside of projects is."""


@dataclass(frozen=True)
class Folders:
    """The person's own folders; none of them needs to exist."""

    config: Path
    """Settings of the person: theme, keys, defaults."""
    data: Path
    """What must not be lost: conversations, and the state of work outside any project."""
    cache: Path
    """What can be had again: model weights."""


def user_folders(environ: Mapping[str, str] = os.environ, dirs: PlatformDirsABC | None = None) -> Folders:
    """The person's folders as the platform has them, or all three inside `PHICHAT_HOME`.

    `PHICHAT_CACHE` moves the cache alone: weights are large, and often belong on another disk.
    """
    home = environ.get("PHICHAT_HOME")
    if home:
        base = Path(home)
        folders = Folders(base / "config", base / "data", base / "cache")
    else:
        dirs = dirs or PlatformDirs("phichat", appauthor=False)
        folders = Folders(Path(dirs.user_config_dir), Path(dirs.user_data_dir), Path(dirs.user_cache_dir))
    cache = environ.get("PHICHAT_CACHE")
    return Folders(folders.config, folders.data, Path(cache)) if cache else folders


def find_project(start: Path) -> Path | None:
    """The nearest folder, from `start` upwards, that holds a `phichat.toml`."""
    # Path.absolute keeps a `..`: the folder before it would be taken for one above.
    start = Path(os.path.normpath(start.absolute()))
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    return None


def state_folder(project: Path | None, folders: Folders) -> Path:
    """Where a project's runs, data and servers are kept; made on the first call, ignored by git.

    Raises:
        ConfigError: it cannot be made.
    """
    state = project / STATE_FOLDER if project else folders.data / OUTSIDE
    try:
        state.mkdir(parents=True, exist_ok=True)
        ignore = state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        hint = (
            "Copy the project to a folder that is yours."
            if project
            else "Set PHICHAT_HOME to another folder."
        )
        raise ConfigError(f"{state} cannot be written: {error.strerror}.", hint) from error
    return state


def bundled(name: str) -> Path:
    """The folder `trainer` or `flows`: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "_bundled" / name
    return installed if installed.is_dir() else package.parent / name


def environment_python(environment: Path, platform: str = sys.platform) -> Path:
    """The interpreter of a virtual environment."""
    if platform == "win32":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


def write_atomic(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a crash, sees either the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each thread: two writers must not write into each other's file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def lines_of(path: Path) -> list[str]:
    """The lines of a file, none where there is no file; what is no UTF-8 is replaced.

    Unlike those of `str.splitlines` they end at line feeds only: JSON has other ends of lines in its texts.
    """
    if not path.exists():
        return []
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        return [line.rstrip("\r\n") for line in file]


def append_line(path: Path, line: str) -> None:
    """Add a line to a file: a line of its own even where the last one was cut off, by a crash or by hand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        end = b"" if file.read(1) in (b"", b"\n") else b"\n"
        file.write(end + line.encode() + b"\n")
