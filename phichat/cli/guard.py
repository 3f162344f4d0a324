"""Whatever happens, a person sees one sentence and a hint, and a script sees the right exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import TextIO

from phichat.cli.characters import suited
from phichat.errors import PhichatError, of_the_disk

INTERRUPTED = 130


class OutputClosedError(Exception):
    """Whoever read our standard output has closed it, as `head` does: there is nobody to tell anything."""


def guarded(run: Callable[[], int]) -> int:
    """The exit code of a command; every error that leaves it is told on standard error."""
    _speak_utf8()
    try:
        with _ended_as_interrupted():
            code = run()
        _flush()
        return code
    except OutputClosedError:
        return 0
    except SystemExit as end:  # argparse, after --help and --version
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        say("\n")
        return INTERRUPTED
    except PhichatError as error:
        tell(error)
        return error.exit_code
    except Exception as error:
        tell(of_the_disk(error) or _unexpected(error))
        return 1


@contextlib.contextmanager
def _ended_as_interrupted() -> Iterator[None]:
    """Take the order to end, as a service manager gives it, for Ctrl-C: nothing is left running behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: object) -> None:
    # A shell's background job does not hear Ctrl-C: then nobody has set a handler that could be called.
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL, None):
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def tell(error: PhichatError) -> None:
    """Say an error on standard error, secrets masked."""
    hint = f"\n  {error.hint}" if error.hint else ""
    say(suited(f"phichat: {_redacted(error.message)}{_redacted(hint)}\n", sys.stderr))


def say(text: str, stream: TextIO | None = None) -> None:
    """Write to standard error, or to what stands for it: whoever has closed that stops nothing by it."""
    stream = stream or sys.stderr
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        drop(stream)


def _unexpected(error: Exception) -> PhichatError:
    """The error to show in place of a traceback, which goes into a file."""
    told = f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0]
    try:
        from phichat.paths import user_folders, write_atomic

        log = user_folders().data / "crash.log"
        write_atomic(log, _redacted("".join(traceback.format_exception(error))), mode=0o600)
    except OSError:
        return PhichatError(f"This should not have happened: {told}.")
    return PhichatError(f"This should not have happened: {told}.", f"The details are in {log}")


def _redacted(text: str) -> str:
    # Without the configuration nothing was read that could be a secret, and the help must come at once.
    if "phichat.config.secret" not in sys.modules:
        return text
    from phichat.config.secret import redact

    return redact(text)


def _speak_utf8() -> None:
    """An answer may hold any character: a pipe gets UTF-8 whatever the locale; nothing fails on one."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # replaced by something that is no file, as in a test
            encoding = None if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="replace")  # type: ignore[union-attr]


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        drop(sys.stdout)
        raise OutputClosedError from error


def drop(stream: TextIO) -> None:
    """Let what is still written go nowhere instead of failing once more, as at the interpreter's exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
