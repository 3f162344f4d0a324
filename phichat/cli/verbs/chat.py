"""`phichat chat`: one answer on standard output, or a conversation in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import sys

from phichat.cli.parser import Parser

KEYS = ("base_model", "chat.system", "chat.temperature", "chat.top_p", "chat.max_new_tokens", "chat.seed")


def arguments(parser: Parser) -> None:
    """Take the question and how to answer it."""
    from phichat.cli.options import add_config_flags

    parser.add_argument("-p", "--prompt", metavar="TEXT", help="the question; standard input is put below it")
    parser.add_argument(
        "-c",
        "--continue",
        dest="resume",
        nargs="?",
        const="",
        metavar="ID",
        help="go on with the latest conversation, or the one whose id begins so",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="for screen readers and logs: 'You:' and 'Model:', whole sentences, nothing drawn twice",
    )
    parser.add_argument(
        "--attach",
        metavar="WORDS",
        action="append",
        default=[],
        help="show the model what was said about this in other conversations; may be given again",
    )
    parser.add_argument(
        "--deployment",
        metavar="NAME",
        help="who answers, as 'phichat status' shows it, those of others too; default: the current one",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before a model is downloaded")
    parser.add_argument("--json", action="store_true", help="events, one JSON object a line")
    add_config_flags(parser, *KEYS)
    parser.hint_for_strays = 'phichat chat -p "…"'


def run(args: argparse.Namespace) -> int:
    """Answer the question of `-p` or standard input; without one, hold a conversation.

    Raises:
        ConfigError: there is no question.
        PhichatError: nothing is there that could answer.
    """
    question = _question(args.prompt)
    if question is None:
        from phichat.cli.conversation import hold

        return hold(args)
    return asyncio.run(_answer(args, question))


def _question(prompt: str | None) -> str | None:
    """The question; None where a person sits who will type it.

    Raises:
        ConfigError: it is empty or not text.
    """
    from phichat.cli.terminal import read_input
    from phichat.errors import ConfigError

    if sys.stdin.isatty():
        if prompt is None:
            return None
        piped = ""
    else:
        piped = read_input().strip()
    question = "\n\n".join(part for part in (prompt or "", piped) if part.strip())
    if not question:
        raise ConfigError("There is no question.", 'phichat chat -p "…", or: echo "…" | phichat chat')
    return question


async def _answer(args: argparse.Namespace, question: str) -> int:
    from phichat.cli.answers import MODEL, YOU, attached, opened, ready, show, tell_tuned
    from phichat.cli.options import open_project
    from phichat.cli.terminal import narrate, out
    from phichat.workflow.templates import Templates

    async with open_project(args) as project:
        deployment = await ready(project, args.deployment, plain=args.plain, yes=args.yes)
        if deployment is None:
            return 1
        await tell_tuned(project, args)
        log = await opened(project, args.resume)
        hits = await attached(project, log, args.attach)
        await project.conversations.ask(log, question, hits, deployment)
        if args.plain and not args.json:
            out(f"{YOU}{question}\n{MODEL}", end="")
        answer = project.conversations.answer(log, deployment=deployment)
        reply = await show(answer, args.json, plain=args.plain)
        if reply and (doubt := await Templates(project).doubt(deployment, reply.template_sha256)):
            narrate(doubt)
    return 0
