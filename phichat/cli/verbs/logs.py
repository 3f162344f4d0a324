"""`phichat logs`: what a run has written."""

from __future__ import annotations

import argparse
import asyncio
import contextlib

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take the run."""
    parser.add_argument(
        "name", metavar="RUN", nargs="?", help="as 'phichat runs' shows it; default: the newest"
    )


def run(args: argparse.Namespace) -> int:
    """Print every line that the run has written so far.

    Raises:
        NotFoundError: there is no such run.
        UnsupportedError: the backend keeps no logs.
    """
    return asyncio.run(_logs(args))


async def _logs(args: argparse.Namespace) -> int:
    from phichat.cli.options import open_project
    from phichat.cli.terminal import out

    async with open_project(args) as project:
        name = project.training.run(args.name).name
        async with contextlib.aclosing(project.training.logs(name)) as lines:
            async for line in lines:
                out(line)
    return 0
