"""`phichat` without a verb: the application, where there is a terminal to show it on."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from phichat.errors import ConfigError

if TYPE_CHECKING:
    from phichat.workflow import Project


def run(args: argparse.Namespace) -> int:
    """Open the application.

    Raises:
        ConfigError: there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("The application needs a terminal.", 'Without one: phichat chat -p "…"')
    from phichat import app

    # Opened after the first frame: the person can type meanwhile.
    return app.run(lambda: _project(args))


def _project(args: argparse.Namespace) -> Project:
    from phichat.cli.options import open_project

    return open_project(args)
