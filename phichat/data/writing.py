"""The last pass: every row goes to the file of its side, and the whole gets its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack

from phichat.data.spool import Findings
from phichat.data.table import BAD, EVAL, FILES, REMOVED, TRAIN
from phichat.events import Event, Step
from phichat.models.files import Meter

TICK = 512
INDEX_FILE = "rows.index"


def deal(found: Findings, report: Callable[[Event], None]) -> str:
    """Write the files of the sides and the table of rows; returns the fingerprint of the whole."""
    table, side = found.table, found.table.side
    if all(side[row] == guess for row, guess in zip(found.spooled, found.guessed, strict=True)):
        for each in (TRAIN, EVAL):
            found.spool(each).rename(found.folder / FILES[each])
    else:
        _write_again(found, report)
    for each in (EVAL, REMOVED):
        file = found.folder / FILES[each]
        if file.exists() and not file.stat().st_size:
            file.unlink()
    table.save(found.folder / INDEX_FILE)
    report(Step(name="write", state="done", detail=f"{len(found.spooled):,} rows"))
    digest = hashlib.sha256()
    for row in table.on(TRAIN, EVAL):
        digest.update(bytes((side[row],)) + found.hashes[row])
    return digest.hexdigest()[:16]


def _write_again(found: Findings, report: Callable[[Event], None]) -> None:
    """Some rows are not on the side that they were guessed to be on: deal all of them anew, in order."""
    table, at = found.table, [0, 0, 0, 0]
    meter, total = Meter("Writing", report, "rows"), len(found.spooled)
    with ExitStack() as stack:
        files = {
            side: stack.enter_context((found.folder / FILES[side]).open("wb", buffering=1 << 20))
            for side in (TRAIN, EVAL, REMOVED)
        }
        for done, (row, line) in enumerate(found.lines(without=(BAD,)), 1):
            side = table.side[row]
            table.offset[row] = at[side]
            at[side] += len(line)
            files[side].write(line)
            if done % TICK == 0:
                meter(done, total)
        meter(total, total)
    for side in (TRAIN, EVAL):
        found.spool(side).unlink()
