"""`phichat flow`: the deployed model through flows: served, asked in batches, evaluated, taken elsewhere."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.flowrunner import EngineName
    from phichat.flowrunner.engines import Flow
    from phichat.flowrunner.server import FlowServer
    from phichat.workflow import Project
    from phichat.workflow.batches import FlowResult

ENGINES = ("promptflow", "fastapi", "plain")
SHOWN = 5
"""Failed lines that are told; the report has all of them."""
STOP = "Stop it: phichat down flow"


def arguments(parser: Parser) -> None:
    """Take what to do, with which engine, and how the model answers."""
    from phichat.cli.options import add_config_flags

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("setup", help="make the environment that Prompt flow runs in (400 MB, once)")
    serve = actions.add_parser("serve", help="serve the chat flow on this machine, until Ctrl-C")
    serve.add_argument("--port", type=_port, default=8080, metavar="N", help="default: %(default)s")
    serve.add_argument("--detach", action="store_true", help="leave it running: 'phichat down' stops it")
    run = actions.add_parser("run", help="ask every line of a file")
    run.add_argument(
        "data", metavar="DATA", type=Path, help='JSON lines: {"question": "…"}, or conversations'
    )
    evaluate = actions.add_parser("evaluate", help="compare the answers with those that are wanted")
    evaluate.add_argument(
        "data",
        metavar="DATA",
        type=Path,
        nargs="?",
        help='JSON lines with a "reference", or conversations; default: the held-out ones',
    )
    for batch in (run, evaluate):
        batch.add_argument("-n", "--limit", metavar="N", type=_count, help="only the first N lines")
        batch.add_argument("--json", action="store_true", help="every line, then the result, as JSON lines")
    for asking in (serve, run):
        add_config_flags(asking, "chat.temperature", "chat.top_p", "chat.seed")
    for action in (serve, run, evaluate):
        add_config_flags(action, "base_model", "chat.system", "chat.max_new_tokens")
        action.add_argument(
            "--engine",
            choices=ENGINES,
            default="promptflow",
            help="what runs it; default: promptflow, whose server is fastapi; plain: without Prompt flow",
        )
        action.add_argument("--yes", action="store_true", help="do not ask before a model is downloaded")
    export = actions.add_parser(
        "export", help="write a folder that serves the flow anywhere, without Prompt flow"
    )
    export.add_argument("folder", metavar="DIR", type=Path, help="new, or empty")


def run(args: argparse.Namespace) -> int:
    """Do it; 1 if a line failed, or a server ended by itself.

    Raises:
        ConfigError: Prompt flow is not set up, a port is taken, or a folder is not empty.
        DataError: a file cannot be read.
        BackendError: a flow failed as a whole.
    """
    if args.action == "export":
        return _export(args)
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from phichat.cli.options import open_project

    actions = {"setup": _setup, "serve": _serve, "run": _batch, "evaluate": _batch}
    async with open_project(args) as project:
        return await actions[args.action](args, project)


async def _setup(_: argparse.Namespace, project: Project) -> int:
    from phichat.cli.narration import narrated
    from phichat.cli.terminal import narrate
    from phichat.flowrunner.promptflow import RETIRED

    there = project.flows.environment.ready
    with narrated() as narrator:
        await project.flows.setup(narrator)
    narrate(f"Prompt flow is in {project.flows.environment.folder}.")
    if not there:
        narrate(f"Microsoft retires it on {RETIRED}; --engine plain serves the same without it.")
    return 0


async def _serve(args: argparse.Namespace, project: Project) -> int:
    from phichat.cli.answers import ready
    from phichat.cli.terminal import narrate, out
    from phichat.errors import BackendError

    name = _engine(args)
    project.flows.check(name)
    deployment = await ready(project, yes=args.yes)
    if deployment is None:
        return 1
    before = project.flows.server()
    server = await project.flows.serve(deployment, name, args.port)
    ours = server != before and not args.detach
    out(server.url)
    _tell(server, "runs already" if server == before else "runs", ours)
    if args.detach:
        return 0
    try:
        reason = await project.flows.servers.ended(server)
    except asyncio.CancelledError:
        await asyncio.shield(_leave(project, server, ours))
        raise
    if reason:
        raise BackendError(f"The flow server ended: {reason}", "phichat flow serve")
    narrate("The flow server was stopped from elsewhere.")
    return 0


async def _leave(project: Project, server: FlowServer, ours: bool) -> None:
    """End the server that was started here; one that somebody else has started runs on."""
    from phichat.cli.terminal import narrate

    if ours and project.flows.server() == server:
        await project.flows.stop()
        narrate("\nStopped.")
    else:
        narrate(f"\nThe flow server runs on. {STOP}")


def _tell(server: FlowServer, state: str, ours: bool) -> None:
    from phichat.cli.terminal import narrate

    narrate(f"The chat flow {state} on {server.engine}, over {server.deployment}. Try it from elsewhere:")
    asked = """-H 'Content-Type: application/json' -d '{"question": "Who are you?"}'"""
    narrate(f"  curl {server.url}/score {asked}")
    narrate(f"  curl -N {server.url}/score -H 'Accept: text/event-stream' {asked}")
    narrate("Ctrl-C stops it." if ours else STOP)


async def _batch(args: argparse.Namespace, project: Project) -> int:
    from phichat.cli.answers import ready
    from phichat.cli.narration import narrated

    flow: Flow = "chat" if args.action == "run" else "evaluate"
    batch = await project.flows.batch(flow, args.data, _engine(args), args.limit)
    deployment = await ready(project, yes=args.yes)
    if deployment is None:
        return 1
    with narrated() as narrator:
        result = await project.flows.run(batch, deployment, narrator)
    (_as_json if args.json else _as_text)(result)
    return 1 if result.failed else 0


def _as_text(result: FlowResult) -> None:
    from phichat.cli.characters import visible
    from phichat.cli.terminal import narrate, out, table
    from phichat.flowrunner.report import name_of

    failed = result.failed
    if result.metrics:
        out(table([("", "MEAN"), *((name_of(name), f"{mean:.3f}") for name, mean in result.metrics.items())]))
    out(f"{len(result.lines) - len(failed)} done, {len(failed)} failed")
    for line in failed[:SHOWN]:
        narrate(f"line {line.line}: {visible(line.error)}")
    if len(failed) > SHOWN:
        narrate(f"… and {len(failed) - SHOWN} more")
    narrate(f"Answers: {result.results}")
    narrate(f"Report: {result.report}")


def _as_json(result: FlowResult) -> None:
    from phichat.cli.terminal import out_json

    for line in result.lines:
        out_json("line", line.model_dump())
    told = result.model_dump(exclude={"lines"})
    failed = len(result.failed)
    out_json("flow", {**told, "done": len(result.lines) - failed, "failed": failed})


def _export(args: argparse.Namespace) -> int:
    from phichat.cli.terminal import narrate, out
    from phichat.flowrunner.export import export

    for path in export(args.folder):
        out(str(path))
    narrate(
        f"Build it: docker build -t chat-flow {args.folder}; {args.folder / 'README.md'} says how to run it."
    )
    return 0


def _engine(args: argparse.Namespace) -> EngineName:
    return "plain" if args.engine == "plain" else "promptflow"


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)
