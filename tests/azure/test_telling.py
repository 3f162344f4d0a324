"""A log through several machines: each line is told once, and the next time in the same order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from phichat.backends.azureml.telling import TAKEN, Telling
from phichat.events import Metric, Status, parse
from tests.azure.training import line


def steps(*numbers: int) -> list[str]:
    return [line("metric", step=number, values={"loss": 1.0}).decode().rstrip() for number in numbers]


def marker(kind: str, **values: int) -> str:
    return json.dumps({"kind": kind, "at": 1.0, **values})


START, REPLAY = marker("start", number=1), marker("replay")


def said(lines: Iterable[str]) -> list[int | str]:
    """The steps, and where the machine was taken."""
    told: list[int | str] = []
    for each in lines:
        event = parse(each)
        if isinstance(event, Metric):
            told.append(event.step)
        elif isinstance(event, Status):
            told.append("taken" if event.detail == TAKEN else event.detail)
        else:
            told.append(each)
    return told


def hear(telling: Telling, *lines: str) -> list[int | str]:
    return said([told for each in lines for told in telling.hear(each)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "stories" / "first-1.txt"


def test_whoever_comes_late_hears_what_was_kept(file: Path) -> None:
    telling = Telling(file)
    assert hear(telling, REPLAY, *steps(1, 2), START, *steps(3, 4)) == [1, 2, "taken", 3, 4]
    telling.close()
    again = Telling(file)
    assert said(again.known()) == [1, 2, "taken", 3, 4]
    assert hear(again, REPLAY, *steps(1, 2), START, *steps(3, 4, 5)) == [5]
    again.close()


def test_whoever_has_heard_more_than_was_kept_hears_nothing_twice(file: Path) -> None:
    telling = Telling(file)
    assert hear(telling, *steps(1, 2, 3)) == [1, 2, 3], "the third was not kept there"
    telling.begin()
    assert hear(telling, REPLAY, *steps(1, 2), START, "Loading", *steps(4)) == ["taken", "Loading", 4]
    telling.begin()
    second = marker("start", number=2)
    assert hear(telling, REPLAY, *steps(1, 2), START, *steps(4), second, *steps(5)) == ["taken", 5]
    telling.close()
    again = Telling(file)
    assert said(again.known()) == [1, 2, 3, "taken", "Loading", 4, "taken", 5]
    again.close()


def test_whoever_has_heard_the_beginning_hears_the_rest_of_it_first(file: Path) -> None:
    telling = Telling(file)
    assert hear(telling, "Loading", *steps(1)) == ["Loading", 1]
    telling.close()
    again = Telling(file)
    assert said(again.known()) == ["Loading", 1]
    assert hear(again, "Loading", REPLAY, *steps(1, 2), START, *steps(3)) == [2, "taken", 3]
    again.close()


def test_a_log_that_begins_anew_and_does_not_say_why_is_another_machines(file: Path) -> None:
    telling = Telling(file)
    assert hear(telling, *steps(1, 2)) == [1, 2]
    telling.begin()
    assert hear(telling, "Loading", *steps(1)) == ["Loading", "taken", 1]
    telling.close()


def test_of_two_who_listen_one_keeps_it(file: Path) -> None:
    first, second = Telling(file), Telling(file)
    assert hear(first, *steps(1, 2)) == hear(second, *steps(1, 2)) == [1, 2]
    first.close()
    second.close()
    again = Telling(file)
    assert said(again.known()) == [1, 2]
    again.close()
