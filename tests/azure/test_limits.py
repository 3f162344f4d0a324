"""What a job may cost travels with it: Azure itself ends it then, whoever watches."""

from __future__ import annotations

from pathlib import Path

import pytest

from phichat.backends.base import Dataset, TrainSpec
from tests.azure.places import Lab
from tests.azure.standin.cloud import Cloud

BASE = "microsoft/Phi-3-mini-4k-instruct@0a67737cc96d2554230f90338b163bc6380a2a85"


@pytest.mark.parametrize(
    ("max_usd", "nodes", "limit"),
    [
        (None, 1, "PT36000S"),
        (3.673, 1, "PT3600S"),
        (3.673, 2, "PT1800S"),
        (1000.0, 1, "PT36000S"),
    ],
    ids=["as configured", "an hour", "half an hour", "more than enough"],
)
async def test_the_time_of_a_job_is_its_money(
    empty: Cloud, lab: Lab, tmp_path: Path, max_usd: float | None, nodes: int, limit: str
) -> None:
    empty.workspaces.make("phichat", "phichat")
    empty.jobs.holding = True
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"messages": []}\n', encoding="utf-8")
    dataset = Dataset(train_file=rows, train_rows=1)
    spec = TrainSpec(name="phi", dataset=dataset, base_model=BASE, max_usd=max_usd)
    await lab(time_limit=10, instance_count=nodes).submit(spec, lambda event: None)
    assert empty.jobs.found["phi"].properties["limits"]["timeout"] == limit
