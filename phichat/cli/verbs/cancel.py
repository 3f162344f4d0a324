"""`phichat cancel`: ends a run, which keeps what it has learned until then."""

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
    parser.add_argument("--json", action="store_true", help="the run as a JSON object")


def run(args: argparse.Namespace) -> int:
    """End the run; one that is finished stays as it is: 1 if another one is under way then.

    Raises:
        NotFoundError: there is no such run.
    """
    return asyncio.run(_cancel(args))


async def _cancel(args: argparse.Namespace) -> int:
    from phichat.cli.options import open_project
    from phichat.cli.terminal import narrate, out, out_json

    async with open_project(args) as project:
        name = (await project.training.meant(args.name)).name
        await project.cancel(name)
        await project.training.refresh()
        run = project.training.run(name)
        other = project.training.ledger.going(run.backend)
    state = run.state
    if state == "cancelled":
        narrate(f"{name} is cancelled. To go on from its last checkpoint: the same 'phichat train' again")
    else:
        narrate(
            f"{name} is not cancelled: it {'is ' if state not in ('succeeded', 'failed') else ''}{state}."
        )
    missed = other if state in ("succeeded", "failed") else None
    if missed:
        narrate(f"  But {missed.name} is under way. To end it: phichat cancel {missed.name}")
    if args.json:
        out_json("run", run.model_dump(mode="json"))
    else:
        out(name)
    return 1 if missed else 0
