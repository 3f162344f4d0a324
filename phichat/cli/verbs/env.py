"""`phichat env`: what other OpenAI clients need to reach the current deployment."""

from __future__ import annotations

import argparse
import asyncio
import shlex
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.backends.base import Access


def arguments(parser: Parser) -> None:
    """Take the shell to write for."""
    parser.add_argument(
        "--shell", choices=("posix", "powershell"), default="posix", help="to write for; default: posix"
    )
    parser.add_argument(
        "--deployment", metavar="NAME", help="as 'phichat status' shows it; default: the current one"
    )
    parser.add_argument("--json", action="store_true", help="events, then the access, one JSON object a line")
    parser.epilog = 'For example: eval "$(phichat env)"'


def run(args: argparse.Namespace) -> int:
    """Print base URL and key as commands of a shell; a free deployment is made if there is none.

    Raises:
        PhichatError: nothing is deployed, or other clients cannot reach it.
    """
    from phichat.cli.terminal import out, out_json
    from phichat.config.secret import remember

    access = asyncio.run(_access(args))
    remember(access.key)
    if args.json:
        out_json("access", access.model_dump())
    else:
        out(_as_commands({"OPENAI_BASE_URL": access.base_url, "OPENAI_API_KEY": access.key}, args.shell))
    return 0


async def _access(args: argparse.Namespace) -> Access:
    from phichat.cli.narration import reported
    from phichat.cli.options import open_project
    from phichat.workflow.rollout import named

    async with open_project(args) as project:
        if args.deployment:
            deployment = await named(project, args.deployment)
        else:
            with reported(args.json) as report:
                deployment = await project.ready(report)
        return await project.access(deployment)


def _as_commands(values: dict[str, str], shell: str) -> str:
    if shell == "powershell":
        quoted = {name: value.replace("'", "''") for name, value in values.items()}
        return "\n".join(f"$env:{name} = '{value}'" for name, value in quoted.items())
    # Bare assignments can also be read by what is no shell; the last line hands them to child processes.
    lines = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join([*lines, f"export {' '.join(values)}"])
