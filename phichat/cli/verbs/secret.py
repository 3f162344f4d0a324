"""`phichat secret`: keys and tokens go into the keyring, and never through the command line."""

from __future__ import annotations

import argparse
import difflib
import sys

from phichat.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Take what to do, and the name."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    set_ = actions.add_parser("set", help="keep a secret, typed when asked or read from standard input")
    set_.add_argument("name", metavar="NAME", help="as 'phichat secret list' shows it")
    set_.add_argument("value", nargs="*", help=argparse.SUPPRESS)
    delete = actions.add_parser("delete", help="forget a secret")
    delete.add_argument("name", metavar="NAME", help="as 'phichat secret list' shows it")
    list_ = actions.add_parser("list", help="show the names of all secrets and where each was found")
    list_.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Keep, forget or list secrets.

    Raises:
        ConfigError: the name is unknown, there is no value, or no keyring.
    """
    # The configuration is not read: it may be what holds the secret that has to move.
    return {"set": _set, "delete": _delete, "list": _list}[args.action](args)


def _set(args: argparse.Namespace) -> int:
    from phichat.cli.terminal import narrate, read_input
    from phichat.config import secret
    from phichat.errors import ConfigError

    if args.value:
        raise ConfigError(
            "A secret is never an argument: the shell keeps those in its history.",
            f"phichat secret set {args.name}  (and have the one just typed replaced)",
        )
    name = _known(args.name)
    if sys.stdin.isatty():
        import getpass

        value = getpass.getpass(f"{name}: ", stream=sys.stderr)
    else:
        value = read_input()
    if not value.strip():
        raise ConfigError(
            f"There is no value for {name}.", f"Type it when asked, or: … | phichat secret set {name}"
        )
    secret.store(name, value.strip())
    narrate(f"{name} is in the keyring.")
    return 0


def _delete(args: argparse.Namespace) -> int:
    from phichat.cli.terminal import narrate
    from phichat.config import secret

    name = _known(args.name)
    there = secret.delete(name)
    narrate(f"{name} is deleted." if there else f"{name} was not in the keyring.")
    return 0


def _list(args: argparse.Namespace) -> int:
    from phichat.cli.terminal import out, out_json, table
    from phichat.config import secret

    if args.json:
        for name in _names():
            out_json("secret", {"name": name, "source": secret.source_of(name) or None})
        return 0
    out(table([(name, secret.source_of(name) or "not set") for name in _names()]))
    return 0


def _names() -> list[str]:
    """Every secret that phichat or an installed backend can use."""
    from phichat.backends.registry import Registry
    from phichat.config import secret
    from phichat.errors import PluginError

    registry = Registry()
    names = [secret.HF_TOKEN, secret.HISTORY_KEY]
    for backend in registry.names():
        try:
            names += secret.secrets_of(registry.load(backend).settings_type, backend)
        except PluginError:
            continue  # 'phichat backends' says what is wrong with it
    return names


def _known(name: str) -> str:
    from phichat.errors import ConfigError

    names = _names()
    if name in names:
        return name
    close = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Known secrets: {', '.join(names)}."
    raise ConfigError(f"There is no secret {name!r}.", hint)
