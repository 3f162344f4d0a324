"""Any conversations in, training files out: starts the work in a child process and keeps what it made."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from phichat import errors
from phichat.data.manifest import MANIFEST_FILE, Prepared, open_prepared, remember
from phichat.data.options import DataOptions
from phichat.data.problems import BadRowsError, summary
from phichat.data.request import OUTCOME_FILE, REQUEST_FILE, ROWS_FOLDER, Outcome, Request
from phichat.data.told import plural
from phichat.errors import DataError
from phichat.events import Event, parse
from phichat.models.pull import kill_tree

REFUSED_FOLDER = "refused"
"""Inside the data folder: the problems of the last source that was refused."""
_PREFIX = ".preparing-"
_LINE_LIMIT = 1 << 20


async def prepare(source: str, options: DataOptions, out: Path, report: Callable[[Event], None]) -> Prepared:
    """Check, divide and write a source into `out/FINGERPRINT`, and make it the project's current data.

    The same input gives the same bytes. Cancelling it leaves nothing behind, in `out` or running.

    Raises:
        BadRowsError: some rows have errors and `skip_bad` is not set.
        DataError: the source cannot be read.
        ConfigError: an option is wrong.
    """
    if source != source.encode(errors="replace").decode():
        raise DataError(f"The name {source!r} is not UTF-8.", "Give the file or folder another name.")
    folder = _own_folder(out)
    try:
        request = Request(source=source, options=options)
        (folder / REQUEST_FILE).write_text(request.model_dump_json(), encoding="utf-8")
        await _run(folder, source == "-", report)
        return _keep(folder / ROWS_FOLDER, source, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _own_folder(out: Path) -> Path:
    """A folder for this preparation alone; those that ended with their process are removed."""
    out.mkdir(parents=True, exist_ok=True)
    for stale in out.glob(f"{_PREFIX}*"):
        owner = stale.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(stale, ignore_errors=True)
    number = 0
    while True:
        folder = out / f"{_PREFIX}{os.getpid()}-{number}"
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
        number += 1


async def _run(folder: Path, reads_input: bool, report: Callable[[Event], None]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "phichat.data.child", str(folder),
        stdin=None if reads_input else DEVNULL, stdout=PIPE, stderr=STDOUT, limit=_LINE_LIMIT,
        env=child_environment(os.environ), start_new_session=sys.platform != "win32",
    )  # fmt: skip
    last: deque[str] = deque(maxlen=1)
    try:
        assert process.stdout is not None
        async for raw in process.stdout:
            event = parse(raw.decode("utf-8", errors="replace"))
            report(event)
            if event.kind == "log" and event.line:
                last.append(event.line)
        await process.wait()
    finally:
        kill_tree(process)
        await asyncio.shield(process.communicate())  # to the end of its output: then nothing of it is left
    _raise_for(folder, "".join(last), process.returncode or 0)


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The person's own environment, without the hub's telemetry."""
    return {**environ, "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONUTF8": "1"}


def _raise_for(folder: Path, last: str, returncode: int) -> None:
    """Raise the error that the child ended with."""
    try:
        outcome = Outcome.model_validate_json((folder / OUTCOME_FILE).read_text(encoding="utf-8"))
    except OSError:
        told = f"The process that prepares the data ended early: {last or 'it said nothing'}."
        hint = "Is there enough memory? Run it again." if returncode < 0 else "This is a mistake in phichat."
        raise DataError(told, hint) from None
    if outcome.error:
        error_type: type[DataError] = getattr(errors, outcome.error)
        raise error_type(outcome.message, outcome.hint)


def _keep(rows: Path, source: str, out: Path) -> Prepared:
    """Move what was made to its place, and make it the current data."""
    prepared = open_prepared(rows)
    fingerprint, refused = prepared.manifest.fingerprint, out / REFUSED_FOLDER
    shutil.rmtree(refused, ignore_errors=True)
    if not fingerprint:
        for spool in rows.glob("spool-*"):
            spool.unlink()
        rows.rename(refused)
        raise _bad_rows(open_prepared(refused), source)
    place = out / fingerprint
    if place.is_dir():
        # The same rows: only what is said about them may be new. The manifest comes last.
        for file in sorted(rows.iterdir(), key=lambda path: path.name == MANIFEST_FILE):
            file.replace(place / file.name)
    else:
        rows.rename(place)
    remember(out, fingerprint)
    return open_prepared(place)


def _bad_rows(refused: Prepared, source: str) -> BadRowsError:
    counts = refused.manifest.counts
    have = "has" if counts.read == 1 else "have"
    rows = f"{counts.bad:,} of {plural(counts.read, 'row')} of {source}"
    told = f"{rows} {have} errors: {summary(counts.problems)}."
    if counts.bad < counts.read:
        hint = f"Mend them, or leave them out: phichat data {source} --skip-bad"
    elif set(counts.problems) == {"encoding"}:
        hint = f"Save it as UTF-8, then run: phichat data {source}"
    else:
        hint = f"No row is good: mend them, then run: phichat data {source}"
    return BadRowsError(told, hint, refused.problems_file, counts.problems)
