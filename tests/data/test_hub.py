"""A hub dataset by split expression, over the wire, pinned and cached: the tutorial's own call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phichat.data import DataOptions, Prepared, prepare
from phichat.errors import DataError
from phichat.events import Event, Step
from tests.data.hub import COMMIT, REPO, Hub, ultrachat

pytest.importorskip("datasets")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The dataset with 1,000 training rows; the hub's own library keeps its files in the test's folder."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with ultrachat(1000) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def fetched(tmp_path: Path, report: Any = lambda _: None, **chosen: Any) -> Prepared:
    """Prepare the dataset."""
    options = DataOptions.model_validate({"cache": tmp_path / "cache", "near_duplicates": "off", **chosen})
    return asyncio.run(prepare(REPO, options, tmp_path / "data", report))


def test_the_tutorials_call_gives_its_files_and_works_again_without_a_network(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = fetched(tmp_path, split="train_sft[:50%]")
    counts = prepared.manifest.counts
    assert (counts.read, counts.train + counts.eval) == (500, 500)
    # Five standard deviations of sqrt(0.2 · 0.8 / 500).
    assert abs(prepared.manifest.split.share - 0.2) < 0.09
    assert prepared.manifest.revision == COMMIT
    (part,) = prepared.manifest.parts
    assert (part.name, part.unit) == (f"{REPO} train_sft[:50%]", "row")
    assert prepared.manifest.ignored == {"prompt": 500, "prompt_id": 500}
    parquet = [asked for asked in hub.asked if asked.endswith(".parquet")]
    assert {asked.rpartition("/")[2] for asked in parquet} == {"train_sft-00000-of-00001.parquet"}

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    events: list[Event] = []
    again = fetched(tmp_path, events.append, split="train_sft[:50%]")
    assert again.folder == prepared.folder
    assert next(event.state for event in events if isinstance(event, Step)) == "reused"
    with pytest.raises(DataError, match="not on this machine, and the hub cannot be reached"):
        fetched(tmp_path, split="train_sft[:10]")


def test_the_cpu_variant_of_the_tutorial(tmp_path: Path, hub: Hub) -> None:
    counts = fetched(tmp_path, split="train_sft[:10]").manifest.counts
    assert (counts.train + counts.eval, counts.eval > 0) == (10, True)


@pytest.mark.parametrize(
    ("chosen", "told", "hint"),
    [
        ({}, "has several splits: train_sft, test_sft", "--split 'train_sft'"),
        ({"split": "train"}, "has no split 'train'", "It has: train_sft"),
        ({"split": "train_sft[:x"}, "is no split expression", "--split 'train"),
    ],
)
def test_a_split_that_cannot_be(
    tmp_path: Path, hub: Hub, chosen: dict[str, str], told: str, hint: str
) -> None:
    with pytest.raises(DataError, match=told) as caught:
        fetched(tmp_path, **chosen)
    assert hint in caught.value.hint


def test_the_page_of_a_dataset_is_the_dataset(tmp_path: Path, hub: Hub) -> None:
    page = f"https://huggingface.co/datasets/{REPO}"
    chosen = DataOptions(cache=tmp_path / "cache", split="train_sft[:10]")
    prepared = asyncio.run(prepare(page, chosen, tmp_path / "data", lambda _: None))
    assert prepared.manifest.source == REPO


def test_another_address_is_answered_with_a_pipe(tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(DataError, match="no dataset of the hub") as caught:
        asyncio.run(prepare("https://example.com/a.csv", DataOptions(), tmp_path, lambda _: None))
    assert caught.value.hint == "For a file: curl -L https://example.com/a.csv | phichat data -"
    assert hub.asked == []


def test_a_dataset_that_is_not_there(tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(DataError, match="no such dataset"):
        asyncio.run(prepare("nobody/nothing", DataOptions(cache=tmp_path), tmp_path, lambda _: None))


def test_a_missing_file_is_not_looked_for_on_the_hub(tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(DataError, match=r"no file or folder 'data/train\.jsonl'"):
        asyncio.run(prepare("data/train.jsonl", DataOptions(cache=tmp_path), tmp_path, lambda _: None))
    assert hub.asked == []
