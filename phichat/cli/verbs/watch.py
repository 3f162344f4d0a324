"""`phichat watch`: follows a run, from its beginning to its end."""

from __future__ import annotations

import argparse
import asyncio

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take the run."""
    parser.add_argument(
        "name",
        metavar="RUN",
        nargs="?",
        help="as 'phichat runs' shows it; default: what is under way, else the newest",
    )
    parser.add_argument("--json", action="store_true", help="events, one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Tell how the run goes until it ends; 1 if it failed or was cancelled.

    Raises:
        NotFoundError: there is no such run.
    """
    return asyncio.run(_watch(args))


async def _watch(args: argparse.Namespace) -> int:
    from phichat.cli.following import follow
    from phichat.cli.options import open_project
    from phichat.cli.verdict import tell_end

    async with open_project(args) as project:
        name = (await project.training.meant(args.name)).name
        status = await follow(project, name, args.json)
        tell_end(project, name, status)
    return 0 if status.state == "succeeded" else 1
