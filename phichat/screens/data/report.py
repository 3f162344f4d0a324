"""The report on prepared data: the lengths as a picture, and everything that was found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from textual.content import Content

from phichat.data.manifest import Manifest
from phichat.data.tokens import Histogram
from phichat.data.told import facts
from phichat.screens.wording import plural

BLOCKS = " ▁▂▃▄▅▆▇█"
HEIGHT = 6
"""Lines of the picture."""
BAR = 2
"""Columns of a bar."""


def report(manifest: Manifest) -> Content:
    """All that is known of a prepared dataset."""
    lines = list(picture(manifest.tokens, manifest.max_length)) if manifest.tokens else []
    found = [(name or "read as", text) for name, text in facts(manifest) if name != "source"]
    told = [Content.assemble((f"{name:<16}", "bold"), text) for name, text in found]
    return Content("\n").join([*lines, *([Content()] if lines else []), *told])


def summary(manifest: Manifest) -> Content:
    """The most of it in a line."""
    counts, split = manifest.counts, manifest.split
    how = "as the source divides them" if split.given else f"{split.share:.1%}, seed {split.seed}"
    told = f"{counts.train:,} to train on, {counts.eval:,} held out ({how})"
    parted = ((counts.bad, "bad row"), (counts.removed, "removed row"))
    more = [f" · {plural(count, noun)}" for count, noun in parted if count]
    name = manifest.source if manifest.source_kind == "hub" else Path(manifest.source).name or manifest.source
    return Content.assemble((name, "bold"), f" · {told}", *more)


def picture(tokens: Histogram, cut: int | None) -> Iterator[Content]:
    """How many rows are how long, in blocks, with the line at which training cuts rows off."""
    yield Content.assemble(("Tokens of a row", "bold"), f" · the highest bar: {max(tokens.bars):,} rows")
    at = cut // tokens.width if cut and cut <= tokens.longest else None
    for level in range(HEIGHT, 0, -1):
        yield Content("").join(
            _block(count, max(tokens.bars), level, line=number == at, lost=at is not None and number >= at)
            for number, count in enumerate(tokens.bars)
        )
    end = f"{len(tokens.bars) * tokens.width:,}"
    yield Content(f"0{end:>{max(len(end), len(tokens.bars) * BAR - 1)}}")
    if cut and at is None:
        yield Content(f"Every row fits: training keeps {cut:,} tokens.")
    elif cut:
        yield Content.assemble(("│", "$text-error"), f" training cuts off here, at {cut:,} tokens")


def _block(count: int, most: int, level: int, *, line: bool, lost: bool) -> Content:
    """The part of a bar that is on one line of the picture; the smallest bar can be seen too."""
    eighths = max(1, round(count / most * HEIGHT * 8)) if count else 0
    block = BLOCKS[max(0, min(8, eighths - (level - 1) * 8))]
    text = f"│{block}" if line else block * BAR
    return Content.styled(text, "$text-error" if lost else "$text-primary")
