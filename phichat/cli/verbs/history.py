"""`phichat history`: the conversations that were held, to find, take out, bring in and delete."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phichat.cli.characters import visible
from phichat.cli.keeping import catch_up, conversations, move, recover, synchronise, told
from phichat.cli.parser import Parser

if TYPE_CHECKING:
    from phichat.history import Conversation, HistoryStore, Hit, Snippet
    from phichat.history.formats import Format
    from phichat.workflow import Project

FORMATS = ("jsonl", "markdown", "openai", "sharegpt")
SHOWN = 20
ID_LENGTH = 13
"""Characters of an id that people are shown: its time in milliseconds."""
BIN_DAYS = 30
"""Days after which what was deleted is purged, the next time that something is deleted."""


def arguments(parser: Parser) -> None:
    """Take what to do, and with which conversations."""
    parser.set_defaults(all=False, deleted=False, limit=SHOWN, json=False)
    parser.epilog = "Without ACTION: list."
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    list_ = actions.add_parser("list", help="show the latest conversations of this project")
    list_.add_argument(
        "--deleted", action="store_true", help="those that were deleted and can be brought back"
    )
    search = actions.add_parser("search", help='find words, beginnings* and "exact phrases"')
    search.add_argument("words", metavar="WORD", nargs="+", help="what was said")
    for action in (list_, search):
        action.add_argument(
            "-n", "--limit", metavar="N", type=_count, default=SHOWN, help="at most so many; default: 20"
        )
        action.add_argument("--json", action="store_true", help="one JSON object a line")
    export = actions.add_parser("export", help="write conversations to a file, or to standard output")
    export.add_argument(
        "ids", metavar="ID", nargs="*", help="the beginning of its id; default: all of this project"
    )
    export.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    export.add_argument(
        "--format",
        choices=FORMATS,
        help="jsonl has everything; openai and sharegpt are for training; default: jsonl, markdown into *.md",
    )
    for action in (list_, search, export):
        action.add_argument("--all", action="store_true", help="of all projects, not of this one only")
    shown = actions.add_parser(
        "shown", help="show word for word what the model was shown for the latest answer"
    )
    shown.add_argument("id", metavar="ID", help="the beginning of its id")
    shown.add_argument("--json", action="store_true", help="one JSON object a message")
    import_ = actions.add_parser(
        "import", help="take in what 'export' writes; the same file again adds nothing"
    )
    import_.add_argument("files", metavar="FILE", nargs="+", help="Markdown or JSON, in any of the formats")
    import_.add_argument("--json", action="store_true", help="one JSON object a file")
    delete = actions.add_parser("delete", help="delete conversations so that they can be brought back")
    delete.add_argument("ids", metavar="ID", nargs="+", help="the beginning of its id")
    way = delete.add_mutually_exclusive_group()
    way.add_argument("--undo", action="store_true", help="bring them back")
    way.add_argument("--purge", action="store_true", help="delete them for good")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    sync = actions.add_parser("sync", help="send what was said here, fetch what was said elsewhere")
    sync.add_argument("--json", action="store_true", help="how it stands as a JSON object")
    move = actions.add_parser("move", help="bring all conversations from one store into the other")
    move.add_argument("--to", choices=("sqlite", "cosmos"), required=True, help="the store they go to")
    move.add_argument("--remove", action="store_true", help="remove what has arrived from where it was")
    move.add_argument("--yes", action="store_true", help="do not ask")
    actions.add_parser("recover", help="make a new store of what can be read in a damaged one")


def run(args: argparse.Namespace) -> int:
    """Do it with the configured store.

    Raises:
        ConfigError: the configuration is wrong.
        DataError: a file cannot be imported.
        NotFoundError: there is no such conversation.
        HistoryError: the store cannot be read or written.
    """
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from phichat.cli.options import open_project

    actions = {
        None: _list,
        "list": _list,
        "search": _search,
        "export": _export,
        "shown": _shown,
        "import": _import,
        "delete": _delete,
        "sync": synchronise,
        "move": move,
        "recover": recover,
    }
    async with open_project(args) as project:
        if args.action in (None, "list", "search", "export"):
            await catch_up(project.history)
        return await actions[args.action](args, project)


async def _list(args: argparse.Namespace, project: Project) -> int:
    from phichat.cli.terminal import narrate, out, out_json, table

    page = await project.history.page(project=_scope(args, project), deleted=args.deleted, limit=args.limit)
    if args.json:
        for conversation in page.conversations:
            out_json("conversation", conversation.model_dump())
    elif page.conversations:
        out(table([("ID", "LATEST", "PROJECT", "TITLE"), *map(_row, page.conversations)]))
    else:
        narrate("There are none." if args.deleted else "There are no conversations yet: phichat chat")
    if page.cursor and not args.json:
        narrate(f"There are more: phichat history list --limit {args.limit * 5}")
    return 0


def _row(conversation: Conversation) -> tuple[str, ...]:
    return (
        conversation.id[:ID_LENGTH],
        time.strftime("%Y-%m-%d %H:%M", time.localtime(conversation.updated)),
        Path(conversation.project).name,
        visible(conversation.title),
    )


async def _search(args: argparse.Namespace, project: Project) -> int:
    from phichat.cli.terminal import narrate, out, out_json

    # Whoever waits for a command has typed all of the last word; a star says that it may go on.
    typed = " ".join(args.words) + " "
    hits = await project.history.search(typed, project=_scope(args, project), limit=args.limit)
    for hit in hits:
        if args.json:
            out_json("hit", _facts(hit))
        else:
            out(f"{visible(hit.conversation.id[:ID_LENGTH])}  {_marked(hit.snippet)}", styled=True)
    if not hits:
        where = "" if args.all else " in this project: --all searches the others as well"
        narrate(f"Nothing matches{where}.")
    return 0


def _facts(hit: Hit) -> dict[str, object]:
    return {
        "conversation": hit.conversation.id,
        "message": hit.message_id,
        "title": hit.conversation.title,
        "project": hit.conversation.project,
        "updated": hit.conversation.updated,
        "snippet": hit.snippet.text,
        "marks": hit.snippet.marks,
    }


def _marked(snippet: Snippet) -> str:
    """A snippet, its matches in bold on a terminal."""
    if not sys.stdout.isatty():
        return visible(snippet.text)
    told, end = "", 0
    for first, last in snippet.marks:
        told += f"{visible(snippet.text[end:first])}\x1b[1m{visible(snippet.text[first:last])}\x1b[0m"
        end = last
    return told + visible(snippet.text[end:])


async def _export(args: argparse.Namespace, project: Project) -> int:
    from phichat.cli.terminal import narrate, out
    from phichat.history.exports import export, render

    store = project.history
    chosen = [(await store.find(each)).id for each in args.ids]
    ids = _given(chosen) if chosen else _every(store, _scope(args, project))
    if args.output is None:
        async for text in render(store, ids, _format(args)):
            out(text, end="")
        return 0
    path = Path(args.output)
    count = await export(store, ids, path, _format(args))
    narrate(f"{conversations(count)} in {path}.")
    return 0


async def _shown(args: argparse.Namespace, project: Project) -> int:
    from phichat.cli.terminal import narrate, out, out_json

    transcript = await project.history.read((await project.history.find(args.id)).id)
    answer = next((each for each in reversed(transcript.branch()) if each.role == "assistant"), None)
    if answer is None:
        narrate("There is no answer in this conversation yet.")
        return 0
    for message in transcript.shown(answer.id):
        if args.json:
            out_json("message", message.model_dump())
        else:
            out(f"{message.role}:\n{message.content}\n")
    if answer.usage and answer.usage.dropped_messages:
        narrate(f"The oldest {answer.usage.dropped_messages} messages did not fit and were left out.")
    return 0


def _format(args: argparse.Namespace) -> Format:
    chosen: Format | None = args.format
    return chosen or ("markdown" if str(args.output).endswith(".md") else "jsonl")


async def _given(ids: Sequence[str]) -> AsyncIterator[str]:
    for conversation_id in ids:
        yield conversation_id


async def _every(store: HistoryStore, project: str | None) -> AsyncIterator[str]:
    async for conversation in store.conversations(project=project):
        yield conversation.id


async def _import(args: argparse.Namespace, project: Project) -> int:
    from phichat.cli.terminal import narrate, out_json
    from phichat.history.imports import import_file

    for name in args.files:
        path = Path(name)
        merged = await import_file(project.history, path, project=str(project.root or ""))
        if args.json:
            out_json("imported", {"file": str(path), **merged._asdict()})
            continue
        narrate(f"{path}: {told(merged)}.")
    return 0


async def _delete(args: argparse.Namespace, project: Project) -> int:
    from phichat.cli.terminal import confirmed, narrate

    store = project.history
    found = [await store.find(each) for each in args.ids]
    titles = ", ".join(f"“{visible(each.title)}”" if each.title else each.id[:ID_LENGTH] for each in found)
    if args.undo:
        for each in found:
            await store.undelete(each.id)
        narrate(f"Back again: {titles}.")
        return 0
    how = " for good" if args.purge else ""
    if not confirmed(f"Delete {titles}{how}?", args.yes):
        return 1
    for each in found:
        await (store.purge(each.id) if args.purge else store.delete(each.id))
    await store.empty_trash(time.time() - BIN_DAYS * 86400)
    undo = "" if args.purge else f" For {BIN_DAYS} days: phichat history delete --undo {' '.join(args.ids)}"
    narrate(f"Deleted{how}: {titles}.{undo}")
    return 0


def _scope(args: argparse.Namespace, project: Project) -> str | None:
    """The project to look at; None: all of them, as outside of any."""
    return None if args.all or project.root is None else str(project.root)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)
