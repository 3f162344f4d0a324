"""`phichat web`: the application in a browser, on this machine."""

from __future__ import annotations

import argparse

from phichat.cli.parser import Parser

PORT = 8000


def arguments(parser: Parser) -> None:
    """Take where to listen, and whether to open the browser."""
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0: any that is free")
    parser.add_argument("--open", action="store_true", help="open it in the browser")


def run(args: argparse.Namespace) -> int:
    """Serve the application until Ctrl-C.

    Raises:
        ConfigError: the port is taken, or a flag is wrong.
        UnsupportedError: what serves it is not installed.
    """
    from phichat.cli.options import config_flags, folder
    from phichat.cli.terminal import narrate, out
    from phichat.cli.web import serve

    def announce(address: str) -> None:
        out(address)
        narrate("The application is there, for browsers on this machine only. Ctrl-C ends it.")
        if args.open:
            import webbrowser

            webbrowser.open(address)

    flags = [f"--set={key}={value}" for key, value in config_flags(args).items()]
    serve(["-C", str(folder(args)), *flags], args.port, announce)
    return 0
