"""`phichat` without a verb: the application, where there is a terminal to show it on."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from phichat.errors import ConfigError

if TYPE_CHECKING:
    from phichat.workflow import Project


def run(args: argparse.Namespace) -> int:
    """Open the application.

    Raises:
        ConfigError: there is no terminal, or a flag is wrong.
    """
    # A driver of Textual's own, as the web server's, needs no terminal.
    if not (sys.stdin.isatty() and sys.stdout.isatty()) and "TEXTUAL_DRIVER" not in os.environ:
        raise ConfigError("The application needs a terminal.", 'Without one: phichat chat -p "…"')
    if vars(args).keys() > {"verb", "parser"}:
        # A mistyped flag is answered in the shell, before the screen is taken.
        project = _project(args)
        return _show(lambda: project)
    return _show(lambda: _project(args))


def _show(open_project: Callable[[], Project]) -> int:
    """Open the application, which opens the project after its first frame: the person can type meanwhile."""
    from phichat import app

    return app.run(open_project)


def _project(args: argparse.Namespace) -> Project:
    from phichat.cli.options import open_project

    return open_project(args)
