"""The split: by content alone, stable when rows are added, near duplicates on one side."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phichat.data.split import Clusters, held_out, place
from tests.data.conftest import Work, chat, tower

hashes = st.lists(st.binary(min_size=16, max_size=16), unique=True, min_size=1, max_size=40)
seeds = st.integers(min_value=0, max_value=2**32)


def name(number: int) -> bytes:
    """The content hash of some row."""
    return hashlib.sha256(str(number).encode()).digest()[:16]


def held(rows: list[bytes], clusters: Clusters, seed: int, share: float = 0.2) -> set[int]:
    """The rows that are held out."""
    return held_out(range(len(rows)), clusters, [place(row, seed) for row in rows], share)


def sides(rows: list[bytes], seed: int, share: float = 0.2) -> dict[bytes, bool]:
    """Whether each row is held out, none of them being near duplicates."""
    chosen = held(rows, Clusters(rows), seed, share)
    return {row: number in chosen for number, row in enumerate(rows)}


@given(rows=hashes, seed=seeds, data=st.data())
def test_the_order_of_rows_does_not_matter(rows: list[bytes], seed: int, data: st.DataObject) -> None:
    assert sides(data.draw(st.permutations(rows)), seed) == sides(rows, seed)


def standing_in(side: dict[bytes, bool], seed: int) -> set[bytes]:
    """The rows that are on a side only because it would be empty otherwise."""
    return {row for row, held in side.items() if held != (place(row, seed) < 0.2)}


@given(rows=hashes, more=hashes, seed=seeds)
def test_a_row_keeps_its_side_when_others_are_added(rows: list[bytes], more: list[bytes], seed: int) -> None:
    before = sides(rows, seed)
    after = sides(list(dict.fromkeys([*rows, *more])), seed)
    stand_ins = standing_in(before, seed) | standing_in(after, seed)
    assert {row for row in rows if before[row] != after[row]} <= stand_ins
    assert len(standing_in(before, seed)) <= 1


@given(rows=hashes, seed=seeds)
def test_no_side_is_empty_where_there_are_two_rows(rows: list[bytes], seed: int) -> None:
    assert set(sides(rows, seed).values()) == ({True, False} if len(rows) > 1 else {False})


@settings(max_examples=20)
@given(seed=seeds)
def test_the_share_is_reached_on_average(seed: int) -> None:
    rows = [name(number) for number in range(2079)]
    count = sum(sides(rows, seed).values())
    # Five standard deviations of sqrt(0.2 · 0.8 · 2079) ≈ 18 rows.
    assert abs(count - 416) < 92


def test_another_seed_is_another_split() -> None:
    rows = [name(number) for number in range(200)]
    assert sides(rows, 0) != sides(rows, 1)


def test_nothing_is_held_out_when_nobody_wants_it() -> None:
    assert not any(sides([name(number) for number in range(50)], 0, share=0).values())


@given(rows=hashes, seed=seeds, data=st.data())
def test_a_cluster_is_on_one_side(rows: list[bytes], seed: int, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(*[st.integers(0, len(rows) - 1)] * 2), max_size=20))
    clusters = Clusters(rows)
    for one, other in pairs:
        clusters.join(one, other)
    chosen = held(rows, clusters, seed)
    for one, other in pairs:
        assert (one in chosen) == (other in chosen)


@given(rows=hashes, seed=seeds, data=st.data())
def test_a_cluster_is_decided_by_its_smallest_hash(rows: list[bytes], seed: int, data: st.DataObject) -> None:
    clusters = Clusters(rows)
    for one, other in data.draw(st.lists(st.tuples(*[st.integers(0, len(rows) - 1)] * 2), max_size=20)):
        clusters.join(one, other)
    groups: dict[int, list[int]] = {}
    for row in range(len(rows)):
        groups.setdefault(clusters.root(row), []).append(row)
    for root, members in groups.items():
        assert rows[root] == min(rows[member] for member in members)


def test_a_new_near_duplicate_takes_the_side_of_its_cluster_unless_it_is_the_smallest() -> None:
    old, seed = [name(number) for number in range(40)], 0
    before = sides(old, seed)
    for number, row in enumerate(old):
        for new in (b"\x00" * 16, b"\xff" * 16):
            rows = [*old, new]
            clusters = Clusters(rows)
            clusters.join(number, 40)
            chosen = held(rows, clusters, seed)
            decided_by = min(row, new)
            assert (number in chosen) == (40 in chosen) == (place(decided_by, seed) < 0.2)
            others = [other for other in range(40) if other != number]
            assert [other in chosen for other in others] == [before[old[other]] for other in others]


def test_two_clusters_that_a_row_joins_take_the_side_of_the_smaller_name() -> None:
    rows = sorted(name(number) for number in range(60))
    chosen = held(rows, Clusters(rows), 0)
    one = next(row for row in range(60) if row in chosen)
    other = next(row for row in range(60) if row not in chosen)
    clusters = Clusters(rows)
    clusters.join(one, 59)
    clusters.join(other, 59)
    joined = held(rows, clusters, 0)
    assert (one in joined) == (other in joined) == (min(one, other) in chosen)


def test_files_of_real_rows_keep_their_sides(prepared: Work) -> None:
    rows = [tower(number) for number in range(120)]
    small, large = prepared(rows[:60]), prepared(rows)
    for side in ("train", "eval"):
        kept = [row for row in large.rows(side) if row in rows[:60]]
        assert kept == small.rows(side)
    assert large.manifest.counts.eval == len(large.rows("eval")) > 0


def test_near_duplicates_of_held_out_rows_are_held_out(prepared: Work) -> None:
    long = "every single evening the keeper of the old tower climbs all the steps and lights the lamp again"
    rows = [chat(f"Tell me number {number} {number}.", f"In year {number} {long}.") for number in range(2)]
    rows[1] = chat("Tell me number 0 0.", f"In year 0 {long}, she said.")
    rows += [tower(number) for number in range(30)]
    for seed in range(12):
        done = prepared(rows, seed=seed)
        assert done.manifest.counts.near_duplicates == 1
        sides = [side for side in ("train", "eval") for row in done.rows(side) if long in str(row)]
        assert len(sides) == 2
        assert len(set(sides)) == 1


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_small_sources(prepared: Work, rows: int) -> None:
    counts = prepared([tower(number) for number in range(rows)]).manifest.counts
    assert counts.train >= 1
    assert (counts.eval >= 1) == (rows > 1)
