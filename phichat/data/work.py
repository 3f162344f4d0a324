"""Source → prepared folder: read, count tokens, find duplicates, divide, write. Runs in a child process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from phichat.data import sources
from phichat.data.conversation import decode
from phichat.data.division import divide
from phichat.data.lengths import Counted, count_tokens
from phichat.data.manifest import MANIFEST_FILE, Counts, Manifest, SplitReport
from phichat.data.options import DataOptions, ModelFiles
from phichat.data.reading import Reading
from phichat.data.sources import Source
from phichat.data.table import (
    BAD,
    DUPLICATE,
    EVAL,
    FILES,
    LEAKED,
    NEAR_DUPLICATE,
    PERSONAL,
    REMOVED,
    TRAIN,
    TRUNCATED,
)
from phichat.data.validate import SpecialTokens
from phichat.data.writing import INDEX_FILE, deal
from phichat.errors import DataError
from phichat.events import Event, Step
from phichat.models.templates import special_tokens
from phichat.paths import write_atomic

Report = Callable[[Event], None]


def work(name: str, options: DataOptions, folder: Path, report: Report) -> Manifest:
    """Prepare a source in an empty folder.

    Bad rows without `skip_bad`: the manifest has no fingerprint, and the folder only the files about them.

    Raises:
        DataError: the source cannot be read, or has no good row at all.
    """
    source = sources.find(name, options, report)
    not_done: list[str] = []
    reading = Reading(source, options, _special(options.model, not_done), folder, report)
    report(Step(name="read", state="running", detail=source.name))
    with reading.bad:
        found = reading.run()
        report(Step(name="read", state="done", detail=f"{len(found.table):,} rows"))
        every = options.tokens and (options.skip_bad or not reading.bad.rows)
        counted = count_tokens(found, options, every, report)
        _refuse_long(reading, counted)
    if counted.not_done:
        not_done.append(counted.not_done)
    clusters, fingerprint = 0, ""
    if options.skip_bad or not reading.bad.rows:
        if not any(True for _ in found.table.on(TRAIN, EVAL)):
            raise _nothing_left(source.name, bool(len(found.table)))
        clusters = divide(found, options, source.divided, report)
        fingerprint = deal(found, report)
    else:
        found.table.save(folder / INDEX_FILE)  # so that people can look at the bad rows
    manifest = _manifest(source, options, reading, counted, clusters, fingerprint, not_done)
    write_atomic(folder / MANIFEST_FILE, manifest.model_dump_json(indent=1) + "\n")
    return manifest


def _nothing_left(source: str, read: bool) -> DataError:
    if read:
        return DataError(f"{source} has no good row.", "See what is wrong: phichat data without --skip-bad")
    return DataError(f"{source} has no rows.", "Is it the right file? To try it with ours: phichat data demo")


def _special(model: ModelFiles | None, not_done: list[str]) -> SpecialTokens | None:
    """The special tokens to look for: those of the tokenizer, else those that are known of the model."""
    if model is None:
        not_done.append("special tokens: no base model was named")
        return None
    tokens = set(model.special_tokens)
    if model.folder is not None:
        tokens |= special_tokens(model.folder)
    else:
        pull = f"phichat models pull {model.name}"
        told = f"only those that end a turn were looked for, {model.name} is not on this machine ({pull})"
        not_done.append(f"special tokens: {told}")
    return SpecialTokens(tokens) if tokens else None


def _refuse_long(reading: Reading, counted: Counted) -> None:
    """Move the rows that are too long from the good ones to the bad ones."""
    if counted.too_long:
        for row, line in reading.findings.lines():
            if row in counted.too_long:
                reading.bad.add(row, [counted.too_long[row]], decode(line))


def _manifest(
    source: Source,
    options: DataOptions,
    reading: Reading,
    counted: Counted,
    clusters: int,
    fingerprint: str,
    not_done: list[str],
) -> Manifest:
    counts = _counts(reading)
    good = counts.train + counts.eval
    return Manifest(
        fingerprint=fingerprint,
        source=source.name,
        source_kind=source.kind,
        revision=source.revision,
        parts=tuple(reading.findings.parts),
        counts=counts,
        split=SplitReport(
            seed=options.seed,
            test_size=options.test_size,
            share=round(counts.eval / good, 4) if good else 0,
            given=source.divided,
            clusters=clusters,
        ),
        treated={
            "duplicates": options.duplicates,
            "near_duplicates": options.near_duplicates,
            "leakage": options.leakage,
            "personal": options.personal,
        },
        ignored=dict(sorted(reading.findings.ignored.items())),
        passed_over=source.passed_over,
        not_done=tuple(not_done),
        model=options.model.name if options.model else "",
        template=counted.template,
        max_length=options.kept or (options.model.context if options.model else None),
        chosen_length=options.max_length,
        tokens=counted.left(reading.findings.table),
    )


def _counts(reading: Reading) -> Counts:
    found = reading.findings
    sides = [sum(1 for _ in found.table.on(side)) for side in (TRAIN, EVAL, BAD, REMOVED)]
    return Counts(
        read=len(found.table),
        train=sides[TRAIN],
        eval=sides[EVAL],
        train_bytes=_size(found.folder / FILES[TRAIN]),
        eval_bytes=_size(found.folder / FILES[EVAL]),
        bad=sides[BAD],
        removed=sides[REMOVED],
        problems=dict(sorted(reading.bad.counts.items())),
        duplicates=found.table.flagged(DUPLICATE),
        near_duplicates=found.table.flagged(NEAR_DUPLICATE),
        leaked=found.table.flagged(LEAKED),
        personal_rows=found.table.flagged(PERSONAL),
        personal=dict(sorted(found.personal.items())),
        truncated=sum(1 for row in found.table.on(TRAIN, EVAL) if found.table.flags[row] & TRUNCATED),
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
