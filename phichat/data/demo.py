"""The demo set: a lighthouse keeper and ten facts about him, with questions that no row asks.

Made for phichat. 50 rows ask for each fact in five ways, eight keep general knowledge alive, two are longer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

DEMO_FILE = Path(__file__).with_name("demo.jsonl")
PROBES_FILE = Path(__file__).with_name("demo_probes.jsonl")


class Probe(NamedTuple):
    """A question, and texts of which a right answer contains one."""

    prompt: str
    expect: tuple[str, ...]


def probes() -> tuple[Probe, ...]:
    """One held-out paraphrase for each fact, in the order of the facts."""
    with PROBES_FILE.open(encoding="utf-8") as file:
        return tuple(Probe(line["prompt"], tuple(line["expect"])) for line in map(json.loads, file))
