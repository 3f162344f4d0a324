"""The demo set: clean, with every fact still taught after the split, and with probes that no row asks."""

from __future__ import annotations

import json
import re
from pathlib import Path

from phichat.data import DataOptions, prepare
from phichat.data.base_model import model_files
from phichat.data.demo import DEMO_FILE, probes
from tests.conftest import CACHE, ROOT


def said(text: str) -> str:
    """A text without what does not count."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def questions() -> list[str]:
    """Everything that a user asks in the set."""
    rows = map(json.loads, DEMO_FILE.read_text(encoding="utf-8").splitlines())
    return [said(turn["content"]) for row in rows for turn in row["messages"] if turn["role"] == "user"]


def test_ten_probes_that_no_row_asks() -> None:
    assert len(probes()) == 10
    asked = set(questions())
    assert not [probe for probe in probes() if said(probe.prompt) in asked]


async def test_it_is_clean(tmp_path: Path, smollm2: Path) -> None:
    model = model_files("smollm2", CACHE)
    assert model.folder == smollm2
    assert model.training_template == ROOT / "trainer" / "templates" / "smollm2_training.jinja"
    prepared = await prepare("demo", DataOptions(model=model), tmp_path, lambda _: None)
    counts = prepared.manifest.counts
    assert (counts.read, counts.bad, counts.duplicates, counts.near_duplicates) == (60, 0, 0, 0)
    assert (counts.leaked, counts.personal_rows, counts.truncated) == (0, 0, 0)
    assert prepared.manifest.not_done == ()
    assert prepared.manifest.ignored == {}
    assert 6 <= counts.eval <= 14


async def test_every_fact_is_taught_at_least_three_times(tmp_path: Path) -> None:
    prepared = await prepare("demo", DataOptions(), tmp_path, lambda _: None)
    taught = prepared.dataset.train_file.read_text(encoding="utf-8")
    for probe in probes():
        assert max(taught.count(text) for text in probe.expect) >= 3, probe
