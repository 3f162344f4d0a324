"""`phichat deploy`: makes a model answer chats."""

from __future__ import annotations

import argparse
import asyncio

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take the model and how to deploy it."""
    from phichat.cli.amounts import usd
    from phichat.cli.options import add_config_flags

    parser.add_argument(
        "model",
        metavar="RUN|MODEL",
        nargs="?",
        help="run, alias, hub id, or folder; default: the newest run that succeeded, else base_model",
    )
    parser.add_argument("--name", help="of the deployment; default: deploy.endpoint, or the model's")
    parser.add_argument("--dry-run", action="store_true", help="only show the steps and what they would cost")
    parser.add_argument("--yes", action="store_true", help="do not ask when it costs money")
    parser.add_argument(
        "--max-cost",
        metavar="USD",
        type=usd,
        help="do not deploy what costs more, in deploy.ttl_hours or a day",
    )
    parser.add_argument(
        "--json", action="store_true", help="events, then the deployment, one JSON object a line"
    )
    add_config_flags(parser, "deploy.gradual")


def run(args: argparse.Namespace) -> int:
    """Deploy, and print the deployment's name; 1 if the person would rather not pay.

    Raises:
        ConfigError: there is no such model, or nobody can be asked about the price.
        BackendError: it could not be deployed.
    """
    return asyncio.run(_deploy(args))


async def _deploy(args: argparse.Namespace) -> int:
    from phichat.backends.base import Job
    from phichat.cli.deployed import as_json
    from phichat.cli.forecast import show_steps, tell_cost
    from phichat.cli.narration import reported
    from phichat.cli.options import open_project
    from phichat.cli.terminal import confirmed, narrate, out
    from phichat.workflow.estimates import price
    from phichat.workflow.rollout import state_of

    async with open_project(args) as project:
        model = await project.serving.deployable(args.model)
        spec = project.serving.spec(model, args.name)
        estimate = await project.estimate(spec)
        cost = price(estimate)
        if args.dry_run:
            show_steps(await project.plan(spec), args.json)
            tell_cost(estimate, args.json)
            return 0
        project.affordable(estimate, spec, args.max_cost)
        label = model.id if isinstance(model, Job) else model
        if cost and args.yes:
            narrate(f"Deploying {label} costs {cost}.")
        if cost and not confirmed(f"Deploying {label} costs {cost}. Go on?", args.yes):
            return 1
        try:
            with reported(args.json) as report:
                deployment = await project.deploy(model, report, args.name, max_usd=args.max_cost)
        except asyncio.CancelledError:
            if cost:
                narrate("What was begun goes on, and costs. The same command waits for it.")
                narrate("  phichat status shows it, phichat down deletes it")
            raise
        if args.json:
            as_json([await state_of(project, deployment)], project.serving.answering)
        else:
            out(deployment.id)
        return 0
