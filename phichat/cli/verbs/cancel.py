"""`phichat cancel`: ends a run, which keeps what it has learned until then."""

from __future__ import annotations

import argparse
import asyncio

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take the run."""
    parser.add_argument(
        "name", metavar="RUN", nargs="?", help="as 'phichat runs' shows it; default: the newest"
    )
    parser.add_argument("--json", action="store_true", help="the run as a JSON object")


def run(args: argparse.Namespace) -> int:
    """End the run; one that is finished stays as it is.

    Raises:
        NotFoundError: there is no such run.
    """
    return asyncio.run(_cancel(args))


async def _cancel(args: argparse.Namespace) -> int:
    from phichat.cli.options import open_project
    from phichat.cli.terminal import narrate, out, out_json

    async with open_project(args) as project:
        name = project.training.run(args.name).name
        await project.cancel(name)
        await project.training.refresh()
        run = project.training.run(name)
    state = run.state
    if state == "cancelled":
        narrate(f"{name} is cancelled. To go on from its last checkpoint: the same 'phichat train' again")
    else:
        narrate(
            f"{name} is not cancelled: it {'is ' if state not in ('succeeded', 'failed') else ''}{state}."
        )
    if args.json:
        out_json("run", run.model_dump(mode="json"))
    else:
        out(name)
    return 0
