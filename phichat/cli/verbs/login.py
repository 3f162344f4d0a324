"""`phichat login`: signs in where it happens, with a code that is entered at any browser."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.events import Event


def arguments(parser: Parser) -> None:
    """Take `--json`."""
    parser.add_argument(
        "--json", action="store_true", help="events, then whether it is kept, one JSON object a line"
    )


def run(args: argparse.Namespace) -> int:
    """Say where to enter which code, and wait; 1 if the sign-in cannot be kept on this machine.

    Raises:
        AuthError: it was refused, or nobody entered the code in time.
        UnsupportedError: the backend asks nobody who they are.
    """
    return asyncio.run(_login(args))


async def _login(args: argparse.Namespace) -> int:
    from phichat.cli.narration import reported
    from phichat.cli.options import open_project
    from phichat.cli.terminal import narrate, out_json

    async with open_project(args) as project:
        with reported(args.json) as report:
            kept = await project.sign_in(report if args.json else _tell)
    if args.json:
        out_json("login", {"kept": kept})
    if not kept:
        narrate("This machine has no keyring that keeps a sign-in: it ended with this command.")
        narrate("  Sign in inside the application (phichat), or with: az login")
    return 0 if kept else 1


def _tell(event: Event) -> None:
    """Say it at once and whole: a code that is cut off at the edge of the terminal is none."""
    from phichat.cli.terminal import narrate
    from phichat.events import Status

    if isinstance(event, Status):
        narrate(event.detail)
