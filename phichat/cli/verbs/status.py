"""`phichat status`: what is alive, where, and what it costs."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.backends.base import DeploymentState, Resource
    from phichat.workflow.money import Spending


def arguments(parser: Parser) -> None:
    """Take `--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Show deployments with their health, and all that is alive with its price.

    Raises:
        PhichatError: the backend could not be asked.
    """
    deployments, resources, spending = asyncio.run(_look(args))
    (_as_json if args.json else _as_text)(deployments, resources, spending)
    return 0


async def _look(args: argparse.Namespace) -> tuple[list[DeploymentState], list[Resource], Spending]:
    from phichat.cli.options import open_project

    async with open_project(args) as project:
        deployments = await project.deployments()
        alive = await project.resources()
        return deployments, alive, project.spending(alive)


def _as_text(deployments: list[DeploymentState], resources: list[Resource], spending: Spending) -> None:
    from phichat.cli.terminal import narrate, out, table
    from phichat.workflow.estimates import hourly

    if deployments:
        rows = [("DEPLOYMENT", "MODEL", "HEALTHY", "TRAFFIC", "")]
        for state in deployments:
            healthy = "yes" if state.healthy else "no"
            rows.append((state.deployment.id, state.model, healthy, f"{state.traffic} %", state.detail))
        out(table(rows))
    if resources:
        if deployments:
            out("")
        alive = [(each.name, each.kind, each.state, hourly(each.usd_per_hour)) for each in resources]
        out(table([("ALIVE", "KIND", "STATE", "COST"), *alive]))
    else:
        narrate("Nothing is alive.")
    if not spending.free:
        narrate(told(spending))


def _as_json(deployments: list[DeploymentState], resources: list[Resource], spending: Spending) -> None:
    from phichat.cli.terminal import out_json

    for state in deployments:
        out_json("deployment", state.model_dump())
    for resource in resources:
        told = resource.model_dump()
        out_json("resource", {"type": told.pop("kind"), **told})

    out_json("spending", spending.model_dump())


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
