"""Serves one chat model over HTTP: `serve.py --model DIR`; says how it goes as JSON lines on stdout."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from events import say

KEY_VARIABLE = "PHICHAT_SERVE_KEY"
MODEL_VARIABLE = "AZUREML_MODEL_DIR"
NICENESS = 5
"""Whoever shares the machine goes first: the terminal that shows the answer, above all."""


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Serve until stopped; returns the exit code: 0 stopped, 1 failed. Wrong arguments exit with 2."""
    arguments = parse_arguments(argv, environ)
    try:
        listener = listen(arguments.host, arguments.port)
    except OSError as error:
        where = f"{arguments.host}:{arguments.port}"
        say(
            "status",
            state="failed",
            detail=f"Cannot listen on {where}: {error.strerror or error}.",
        )
        return 1
    yield_to_others()
    from server import run  # not before: --help and a wrong argument answer at once

    return asyncio.run(run(arguments, listener))


def parse_arguments(argv: Sequence[str] | None, environ: Mapping[str, str]) -> argparse.Namespace:
    """The command line, with what the environment adds; a mistake is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(prog="serve.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, metavar="DIR", help=f"its folder (default: ${MODEL_VARIABLE})")
    parser.add_argument("--name", help="what clients call the model (default: the folder's name)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8000, help="0: any free one (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps (default: %(default)s)")
    parser.add_argument("--threads", type=_positive, help="CPU threads (default: PyTorch's)")
    parser.add_argument(
        "--cache-bytes",
        type=_positive,
        metavar="BYTES",
        help="cap for the keys and values of all conversations (default: a quarter of the free memory)",
    )
    parser.add_argument(
        "--idle-stop",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="end after so long without a question; 0: never (default)",
    )
    parser.add_argument(
        "--no-key",
        action="store_true",
        help=f"let anybody in; else clients need the key in ${KEY_VARIABLE}",
    )
    arguments = parser.parse_args(argv)
    if arguments.model is None:
        if not environ.get(MODEL_VARIABLE):
            parser.error(f"which model? Give --model DIR, or set {MODEL_VARIABLE}.")
        arguments.model = Path(environ[MODEL_VARIABLE])
    arguments.key = "" if arguments.no_key else environ.get(KEY_VARIABLE, "")
    if not arguments.key and not arguments.no_key:
        parser.error(f"anybody could use this server: set {KEY_VARIABLE}, or give --no-key to allow that.")
    return arguments


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def listen(host: str, port: int) -> socket.socket:
    """A listening socket: who connects from now on is answered as soon as the server runs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def yield_to_others(platform: str = sys.platform) -> None:
    """Lower this process's priority a little."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        # By name: psutil has the constant on Windows only.
        below = getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", None) if platform == "win32" else None
        own = psutil.Process()
        own.nice(max(own.nice(), NICENESS) if below is None else below)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Without the interpreter's tidying up: a thread that loads a model cannot be told to stop, and one that
    # is inside PyTorch while its memory goes away crashes.
    os._exit(code)
