"""Ids are UUIDs of version 7 that sort by when they were made."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from phichat.history.ids import new_id


def test_ids_sort_by_when_they_were_made() -> None:
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))


def test_ids_sort_while_the_clock_stands_still_or_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [new_id()]
    now = time.time_ns()
    for moment in (now, now, now - 10**9, now):
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment)
        ids.append(new_id())
    assert ids == sorted(set(ids))


def test_threads_do_not_get_the_same_id() -> None:
    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(lambda _: new_id(), range(2_000)))
    assert len({identity[:19] for identity in ids}) == len(ids)


def test_an_id_is_a_uuid_of_version_7_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    # A process that makes ids faster than 4096 a millisecond lends time from the next.
    assert before <= made.int >> 80 <= after + 100
