"""`phichat deploy`: makes a model answer chats."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.backends.base import Estimate


def arguments(parser: Parser) -> None:
    """Take the model and how to deploy it."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="alias, hub id, or folder; default: base_model"
    )
    parser.add_argument("--name", help="of the deployment; default: the model's")
    parser.add_argument("--dry-run", action="store_true", help="only show the steps and what they would cost")
    parser.add_argument("--yes", action="store_true", help="do not ask when it costs money")


def run(args: argparse.Namespace) -> int:
    """Deploy, and print the deployment's name; 1 if the person would rather not pay.

    Raises:
        ConfigError: there is no such model, or nobody can be asked about the price.
        BackendError: it could not be deployed.
    """
    return asyncio.run(_deploy(args))


async def _deploy(args: argparse.Namespace) -> int:
    from phichat.cli.narration import narrated
    from phichat.cli.options import open_project
    from phichat.cli.terminal import confirmed, narrate, out

    async with open_project(args) as project:
        spec = project.deploy_spec(args.model, args.name)
        price = _price(await project.estimate(spec))
        if args.dry_run:
            for step in await project.plan(spec):
                out(f"{step.state:8}  {step.name}  {step.detail}".rstrip())
            narrate(f"Cost: {price or 'nothing'}.")
            return 0
        if price and not confirmed(f"Deploying {spec.model} costs {price}. Go on?", args.yes):
            return 1
        with narrated() as narrator:
            deployment = await project.deploy(args.model, narrator, args.name)
        out(deployment.id)
        return 0


def _price(estimate: Estimate) -> str:
    """What a deployment costs, for people; empty if it is certainly free."""
    if estimate.free:
        return ""
    once = f"US${estimate.usd[0]:.2f} to {estimate.usd[1]:.2f}" if estimate.usd and estimate.usd[1] else ""
    hourly = f"US${estimate.usd_per_hour:.2f} an hour while it is alive" if estimate.usd_per_hour else ""
    price = ", then ".join(part for part in (once, hourly) if part) or "nobody knows how much"
    return f"{price} ({estimate.source})" if estimate.source else price
