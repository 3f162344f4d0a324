"""`phichat down`: stops and deletes what is alive."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.backends.base import Resource
    from phichat.workflow.outside import Outside


def arguments(parser: Parser) -> None:
    """Take the names, and what of them is meant."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="as 'phichat status' shows it; default: all")
    parser.add_argument(
        "--old", action="store_true", help="only deployments that get no requests, kept for a rollback"
    )
    parser.add_argument(
        "--expired", action="store_true", help="only what is over its deploy.ttl_hours, and costs on"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--json", action="store_true", help="events, then what was removed, one JSON object a line"
    )
    parser.epilog = (
        "Nothing in Azure ends an endpoint by itself. Let cron do it:\nphichat down --expired --yes"
    )


def run(args: argparse.Namespace) -> int:
    """Ask, then remove; 1 if the person would rather not.

    Raises:
        ConfigError: nothing of that name is alive, or nobody can be asked.
        BackendError: something could not be removed; all the others were tried all the same.
    """
    return asyncio.run(_down(args))


async def _down(args: argparse.Namespace) -> int:
    from phichat.cli.narration import reported
    from phichat.cli.options import open_project
    from phichat.cli.terminal import confirmed, narrate, out, out_json
    from phichat.workflow.lifetimes import expired
    from phichat.workflow.outside import outside
    from phichat.workflow.removing import remove_all
    from phichat.workflow.rollout import old

    async with open_project(args) as project:
        chosen = _chosen(await project.resources(), args.names)
        if args.old:
            kept = {state.deployment.id for state in await old(project)}
            chosen = [each for each in chosen if each.name in kept]
        if args.expired:
            over = {each.name for each in await expired(project)}
            chosen = [each for each in chosen if each.name in over]
        everything = not (args.names or args.old or args.expired)
        beyond = await outside(project) if everything else None
        if not chosen:
            narrate(_nothing(args, beyond))
        if beyond:
            narrate(str(beyond))
        if not chosen:
            return 0
        names = ", ".join(f"{each.kind} {each.name}" for each in chosen)
        if not confirmed(f"Stop and delete {names}?", args.yes):
            return 1

        async def remove(resource: Resource) -> None:
            with reported(args.json) as report:
                await project.remove(resource, report)
            if args.json:
                out_json("removed", {"type": resource.kind, "name": resource.name})
            else:
                out(resource.name)

        await remove_all(chosen, remove)
    return 0


def _nothing(args: argparse.Namespace, beyond: Outside | None) -> str:
    if args.expired:
        return "Nothing is over its time."
    if args.old:
        return "Nothing old is alive."
    return "Nothing of this project is alive." if beyond else "Nothing is alive."


def _chosen(alive: Sequence[Resource], names: Sequence[str]) -> list[Resource]:
    from phichat.errors import ConfigError

    known = [each.name for each in alive]
    missing = [name for name in names if name not in known]
    if missing:
        hint = f"Alive: {', '.join(known)}." if known else "phichat status"
        raise ConfigError(f"Nothing named {missing[0]!r} is alive.", hint)
    return [each for each in alive if not names or each.name in names]
