"""Long operations are told: silent at first, one line on a terminal, few lines elsewhere."""

from __future__ import annotations

import asyncio
import io

import pytest

from phichat.cli.narration import Narrator
from phichat.events import Artifact, Progress, Status, Step


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def download(done: float) -> Progress:
    return Progress(what="smollm2", done=done * 1e6, total=100e6, unit="bytes")


def test_the_first_second_is_silent() -> None:
    clock, stream = Clock(), io.StringIO()
    narrator = Narrator(stream, clock)
    narrator(download(1))
    clock.now += 0.9
    narrator(download(2))
    assert stream.getvalue() == ""
    clock.now += 0.2
    narrator(download(3))
    assert stream.getvalue() == "smollm2: 3% of 100 MB\n"


def test_what_lasts_is_told_although_nothing_more_happens() -> None:
    clock, stream = Clock(), io.StringIO()

    async def wait() -> None:
        narrator = Narrator(stream, clock)
        clock.now += 0.99
        narrator(Step(name="server", state="running", detail="smollm2"))
        assert stream.getvalue() == ""
        await asyncio.sleep(0.02)

    asyncio.run(wait())
    assert stream.getvalue() == "server smollm2 …\n"


def test_what_waits_to_be_told_is_not_told_after_what_is_newer() -> None:
    clock, stream = Clock(), io.StringIO()

    async def wait() -> None:
        narrator = Narrator(stream, clock)
        clock.now += 0.99
        narrator.show("training", "step 9, as it was")
        narrator.keep("step 9: evaluated")
        await asyncio.sleep(0.02)

    asyncio.run(wait())
    assert stream.getvalue() == "step 9: evaluated\n"


def test_elsewhere_lines_are_few() -> None:
    clock, stream = Clock(), io.StringIO()
    narrator = Narrator(stream, clock)
    for percent in range(100):
        clock.now += 0.5
        narrator(download(percent))
    narrator(Status(state="preparing", detail="loading"))
    lines = stream.getvalue().splitlines()
    assert lines[-1] == "loading"
    assert len(lines) == 6
    narrator.close()
    assert stream.getvalue().splitlines() == lines


def test_on_a_terminal_one_line_changes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "15")
    clock, screen = Clock(), Screen()
    narrator = Narrator(screen, clock)
    clock.now += 2
    narrator(download(1))
    clock.now += 0.05
    narrator(download(2))
    clock.now += 0.1
    narrator(download(3))
    narrator.close()
    assert screen.getvalue() == "\r\x1b[Ksmollm2: 1% of\r\x1b[Ksmollm2: 3% of\r\x1b[K"


def test_who_stops_listening_does_not_stop_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(), io.StringIO()

    def closed(text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(stream, "write", closed)
    narrator = Narrator(stream, clock)
    clock.now += 2
    narrator(download(1))
    narrator.keep("half of it is made")
    narrator.close()


def test_what_people_need_not_see_is_not_told() -> None:
    clock, stream = Clock(), io.StringIO()
    narrator = Narrator(stream, clock)
    clock.now += 2
    narrator(Artifact(name="server", uri="http://127.0.0.1:1"))
    narrator(Step(name="model", state="reused"))
    narrator(Status(state="running"))
    assert stream.getvalue() == ""
    narrator(Step(name="model", state="failed"))
    narrator(Progress(what="rows", done=7))
    assert stream.getvalue() == "model failed\nrows: 7\n"
