"""`phichat status`: what is alive, where, and what it costs."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, NamedTuple

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.backends.base import DeploymentState, Resource
    from phichat.workflow.money import Spending
    from phichat.workflow.outside import Outside


def arguments(parser: Parser) -> None:
    """Take `--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Show deployments with their health, and all that is alive with its price.

    Raises:
        PhichatError: the backend could not be asked.
    """
    looked = asyncio.run(_look(args))
    (_as_json if args.json else _as_text)(looked)
    return 0


class _Looked(NamedTuple):
    """What there is."""

    deployments: list[DeploymentState]
    current: str
    """The id of the one that the chats go to; or empty."""
    resources: list[Resource]
    spending: Spending
    outside: Outside | None


async def _look(args: argparse.Namespace) -> _Looked:
    from phichat.cli.options import open_project
    from phichat.workflow.outside import outside

    async with open_project(args) as project:
        deployments = await project.deployments()
        alive = await project.resources()
        spending = project.spending(alive)
        return _Looked(deployments, project.serving.answering, alive, spending, await outside(project))


def _as_text(looked: _Looked) -> None:
    from phichat.cli.deployed import show
    from phichat.cli.terminal import narrate, out, table
    from phichat.workflow.estimates import hourly

    if looked.deployments:
        show(looked.deployments, looked.current)
    if looked.resources:
        if looked.deployments:
            out("")
        alive = [(each.name, each.kind, each.state, hourly(each.usd_per_hour)) for each in looked.resources]
        out(table([("ALIVE", "KIND", "STATE", "COST"), *alive]))
    else:
        narrate("Nothing of this project is alive." if looked.outside else "Nothing is alive.")
    if looked.outside:
        narrate(str(looked.outside))
    if not looked.spending.free:
        narrate(told(looked.spending))


def _as_json(looked: _Looked) -> None:
    from phichat.cli.deployed import as_json
    from phichat.cli.terminal import out_json

    as_json(looked.deployments, looked.current)
    for resource in looked.resources:
        told = resource.model_dump()
        out_json("resource", {"type": told.pop("kind"), **told})
    for resource in looked.outside.resources if looked.outside else ():
        out_json("outside", {"type": resource.kind, "name": resource.name, "state": resource.state})
    out_json("spending", looked.spending.model_dump())


def told(spending: Spending) -> str:
    """What a project has spent, for people."""
    usd = "at unknown prices" if spending.usd is None else f"US${spending.usd:.2f} by list price"
    line = f"Jobs of this project: {spending.hours:.1f} h, {usd}"
    if spending.deployed:
        line += f"; deployments: US${spending.deployed:.2f} until now"
    if spending.usd_per_hour:
        line += f"; what is alive: US${spending.usd_per_hour:.2f} an hour"
    if spending.promised:
        line += f"; jobs under way: up to US${spending.promised:.2f} more"
    if spending.left is not None:
        line += f"; left of the budget: US${spending.left:.2f}"
    return f"{line}."
