"""What a manifest says, in people's words."""

from __future__ import annotations

from collections.abc import Iterator

from phichat.data.manifest import Manifest
from phichat.data.problems import summary

_MISSED = 0.1
"""From this difference on, a share is not the one that was asked for."""


def facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The report, as pairs of a name and a sentence."""
    counts = manifest.counts
    yield "source", f"{manifest.source} {manifest.revision[:12]}".rstrip()
    for part in manifest.parts:
        yield "", f"{part.name}: {plural(part.rows, 'row')}, {part.kind}, {part.format} ({part.evidence})"
    yield "rows", f"{counts.train:,} to train on, {counts.eval:,} to evaluate on ({_division(manifest)})"
    if counts.bad:
        yield "bad", f"{counts.bad:,} left out, in bad.jsonl: {summary(counts.problems)}"
    yield from _health(manifest)
    tokens = manifest.tokens
    if tokens:
        told = f"{tokens.total:,} in all; a row has {tokens.median:,} (median), at most {tokens.longest:,}"
        yield "tokens", told
        if counts.truncated:
            share = counts.truncated / (counts.train + counts.eval)
            cut = plural(counts.truncated, "row")
            yield "truncated", f"{cut} ({share:.1%}) at {manifest.max_length:,}"
    for field, times in manifest.ignored.items():
        yield "ignored", f"{field} ({times:,} times): no field of a conversation"
    for file in manifest.passed_over:
        yield "ignored", f"{file}: holds no rows"
    for check in manifest.not_done:
        yield "not checked", check


def _division(manifest: Manifest) -> str:
    """How the rows were divided: by the content of each, so that few of them may miss the share."""
    split, counts = manifest.split, manifest.counts
    if split.given:
        return "as the source divides them"
    told = f"{split.share:.1%} held out, seed {split.seed}"
    leaked = counts.leaked if manifest.treated.get("leakage") == "remove" else 0
    rows = counts.train + counts.eval + leaked
    share = (counts.eval + leaked) / rows if leaked else split.share
    if not split.test_size or abs(share - split.test_size) < _MISSED:
        return told
    wanted = f"nearer to {split.test_size:.0%}"
    if 0 < split.clusters < rows:
        alike = f"rows that say nearly the same stay together, in {plural(split.clusters, 'group')}"
        return f"{told}; {alike}: with more rows that differ, {wanted}"
    return f"{told}; with more rows {wanted}"


def _health(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What the checks across rows found, and what was done about it."""
    counts = manifest.counts
    done = {"remove": " (removed, in removed.jsonl)", "mask": " (masked)"}
    for name, count, treated in (
        ("duplicates", counts.duplicates, "duplicates"),
        ("near duplicates", counts.near_duplicates, "near_duplicates"),
        ("leakage", counts.leaked, "leakage"),
    ):
        if count:
            yield name, f"{plural(count, 'row')}{done.get(manifest.treated[treated], '')}"
    if counts.personal_rows:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.personal.items())
        told = f"{plural(counts.personal_rows, 'row')}: {kinds}{done.get(manifest.treated['personal'], '')}"
        yield "personal data", told


def plural(count: int, noun: str) -> str:
    """`1 row`, `2 rows`, `1,024 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
