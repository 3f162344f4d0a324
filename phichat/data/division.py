"""The checks across rows, and the side of each: duplicates, the split, and leakage between the sides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from phichat.data.conversation import decode
from phichat.data.duplicates import join_near, repeated
from phichat.data.options import DataOptions, Treatment
from phichat.data.split import Clusters, held_out
from phichat.data.spool import Findings
from phichat.data.table import DUPLICATE, EVAL, LEAKED, NEAR_DUPLICATE, REMOVED, TRAIN
from phichat.events import Event, Step
from phichat.models.files import Meter

Report = Callable[[Event], None]


def divide(found: Findings, options: DataOptions, given: bool, report: Report) -> int:
    """Give every good row its side, after what is to be removed; returns the number of clusters.

    With `given`, rows are on their sides already and stay there.
    """
    clusters = Clusters(found.hashes)
    if options.duplicates != "off":
        equal = repeated(found.table.on(TRAIN, EVAL), found.hashes)
        _treat(found, equal, DUPLICATE, options.duplicates)
        report(Step(name="duplicates", state="done", detail=f"{len(equal):,} rows"))
    if options.near_duplicates != "off":
        near = _near(found, clusters, report)
        _treat(found, near, NEAR_DUPLICATE, options.near_duplicates)
        report(Step(name="near duplicates", state="done", detail=f"{len(near):,} rows"))
    rows = list(found.table.on(TRAIN, EVAL))
    if not given:
        for row in held_out(rows, clusters, found.places, options.test_size):
            found.table.side[row] = EVAL
    if options.leakage != "off":
        leaked = _leaked(found, clusters)
        _treat(found, leaked, LEAKED, options.leakage)
        report(Step(name="leakage", state="done", detail=f"{len(leaked):,} rows"))
    return len({found.hashes[clusters.root(row)] for row in rows})  # rows that are equal are one group


def _treat(found: Findings, rows: Iterable[int], flag: int, treatment: Treatment) -> None:
    for row in rows:
        found.table.flags[row] |= flag
        if treatment == "remove":
            found.table.side[row] = REMOVED


def _near(found: Findings, clusters: Clusters, report: Report) -> list[int]:
    """Join what nearly repeats; the rows that come after another of their cluster and are not its equal."""
    report(Step(name="near duplicates", state="running"))
    meter, total = Meter("Comparing", report, "rows"), len(found.spooled)
    join_near(((row, decode(line)) for row, line in found.lines()), clusters, lambda done: meter(done, total))
    seen: set[int] = set()
    near = []
    for row in found.table.on(TRAIN, EVAL):
        root = clusters.root(row)
        if root in seen and not found.table.flags[row] & DUPLICATE:
            near.append(row)
        seen.add(root)
    return near


def _leaked(found: Findings, clusters: Clusters) -> list[int]:
    """The held-out rows that training knows already: the same questions, or a near duplicate."""
    sides = found.table.side
    questions: dict[int, bytes] = {}
    for row, line in found.lines():
        asked = [turn.content for turn in decode(line).messages if turn.role != "assistant"]
        questions[row] = hashlib.sha256("\0".join(asked).encode()).digest()[:16]
    trained = {asked for row, asked in questions.items() if sides[row] == TRAIN}
    roots = {clusters.root(row) for row in questions if sides[row] == TRAIN}
    return [
        row
        for row, asked in questions.items()
        if sides[row] == EVAL and (asked in trained or clusters.root(row) in roots)
    ]
