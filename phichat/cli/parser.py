"""The verbs, what they have in common, and what is said to a person who mistyped one."""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol, cast

from phichat import __version__
from phichat.cli.layout import Layout
from phichat.errors import ConfigError

VERBS = {
    "init": "make a project: phichat.toml, .gitignore",
    "check": "see whether everything is in place, and what mends it",
    "login": "sign in to the backend with a code, at any browser",
    "provision": "make the backend ready: workspace, roles, quota",
    "secret": "keep keys and tokens in the keyring",
    "models": "the base models, and their weights on this machine",
    "backends": "where it can run: the installed backends",
    "data": "turn conversations into training files, checked",
    "train": "fine-tune the base model, and follow how it goes",
    "runs": "list what was trained, and how it went",
    "watch": "follow a run, from its beginning",
    "cancel": "end a run",
    "logs": "show what a run or a deployment has written",
    "fetch": "bring the model of a run to this machine",
    "eval": "see whether it helped: base model beside tuned one",
    "deploy": "make a model answer chats",
    "traffic": "show or set how deployments share the requests",
    "rollback": "give all requests back to the earlier deployment",
    "env": "OPENAI_BASE_URL and OPENAI_API_KEY for other clients",
    "chat": "a conversation, or one answer on standard output",
    "flow": "Prompt flow: serve, ask in batches, evaluate, export",
    "history": "conversations: find, export, import, delete, sync",
    "status": "show what is alive, where, and what it costs",
    "down": "stop and delete what is alive",
    "web": "the application in a browser, on this machine",
}
"""Every verb with its help. Each is a module in `verbs` with `arguments(parser)` and `run(args) -> int`."""


class Verb(Protocol):
    """What the module of a verb has."""

    @staticmethod
    def arguments(parser: Parser) -> None:
        """Add the verb's own arguments."""

    @staticmethod
    def run(args: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


class Commands(argparse._SubParsersAction):  # type: ignore[type-arg]  # says nothing of its parsers
    """Commands below one, whose own help begins with the sentence that stands for them in the list."""

    def add_parser(self, name: str, **options: Any) -> Any:
        """As argparse does."""
        summary = options.get("help", "")
        return super().add_parser(name, description=f"{summary[:1].upper()}{summary[1:]}.", **options)


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one sentence and a hint."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False, formatter_class=Layout)
        self.register("action", "parsers", Commands)
        self.hint_for_strays = f"{self.prog} --help"
        self.set_defaults(parser=self)
        self._add_common_flags()

    @property
    def flags(self) -> list[str]:
        """Every flag, for suggestions."""
        return list(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(*self._plain(message))

    def refuse(self, strays: Sequence[str]) -> NoReturn:
        """Refuse what no argument took.

        Raises:
            ConfigError: always.
        """
        stray = strays[0]
        if not stray.startswith("-"):
            raise ConfigError(f"'{self.prog}' does not take {stray!r}.", self.hint_for_strays)
        flag = stray.partition("=")[0]
        close = difflib.get_close_matches(flag, self.flags, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"{self.prog} --help"
        raise ConfigError(f"'{self.prog}' has no flag {flag}.", hint)

    def _add_common_flags(self) -> None:
        """The flags of every command, at any place in the line; of two that differ the later one holds."""
        keep = argparse.SUPPRESS
        common = self.add_argument_group("options of every command")
        common.add_argument(
            "--backend", metavar="NAME", default=keep, help="where it runs, as 'phichat backends' shows it"
        )
        common.add_argument(
            "--set",
            metavar="KEY=VALUE",
            action="append",
            # A name of its own for each parser: the list of one below would replace that of one above.
            dest=f"set {self.prog}",
            default=keep,
            help="set any key of phichat.toml, as data.seed=1",
        )
        common.add_argument("-C", "--project", metavar="DIR", default=keep, help="work in this folder")

    def _plain(self, message: str) -> tuple[str, str]:
        """What argparse complains about, as a sentence and a hint."""
        more = f"{self.prog} --help"
        if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            choices = [choice.strip(" '") for choice in found[2].split(",")]
            close = difflib.get_close_matches(found[1], choices, n=1)
            if found[1] in ("help", "version"):
                close = [f"phichat --{found[1]}"]
            hint = f"Did you mean '{close[0]}'?" if close else f"Choose from {', '.join(choices)}."
            flag = re.match(r"argument (-[^:\s]*)", message)
            what = f"{flag[1]} cannot be" if flag else f"'{self.prog}' has no command"
            return f"{what} {found[1]!r}.", hint
        if found := re.fullmatch(r"argument (\S+): expected .*", message):
            return f"{found[1].replace('/', ' or ')} needs a value.", more
        if found := re.fullmatch(r"the following arguments are required: (.*)", message):
            return f"'{self.prog}' needs {found[1]}.", more
        return f"{message[:1].upper()}{message[1:]}.", more


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line, understood.

    Raises:
        ConfigError: it is not one of phichat's.
        SystemExit: it asked for help or the version, which is printed.
    """
    parser = Parser(
        prog="phichat",
        description="From nothing to chatting with a Phi model that you fine-tuned yourself. "
        "Without a command, the application opens.",
        epilog="To begin: phichat, or phichat init my-project\nMore of one command: phichat COMMAND --help",
    )
    parser.add_argument("--version", action="version", version=f"phichat {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", title="commands")
    for name, summary in VERBS.items():
        below = verbs.add_parser(name, help=summary)
        # Only a verb that may have been asked for is imported: the help of all must come at once.
        if name in arguments:
            verb(name).arguments(below)
    # Here, before the value of a mistyped flag is taken for a command.
    if arguments and arguments[0].startswith("--") and arguments[0].partition("=")[0] not in parser.flags:
        parser.refuse(arguments)
    args, strays = parser.parse_known_args(arguments)
    if strays:
        args.parser.refuse(strays)
    return args


def verb(name: str) -> Verb:
    """The module of a verb."""
    return cast(Verb, importlib.import_module(f"phichat.cli.verbs.{name}"))
