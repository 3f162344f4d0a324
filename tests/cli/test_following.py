"""How a run is told while it goes on: one line that changes, and lines that stay."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from phichat.backends.base import Dataset, TrainSpec
from phichat.cli.following import Told
from phichat.cli.narration import Narrator
from phichat.events import Metric, Sample, Status
from phichat.runs import Run
from phichat.workflow.estimates import duration
from phichat.workflow.money import Meter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        self.now += 20  # every event comes when it is time to tell again
        return self.now


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO) -> Told:
    return Told(Narrator(stream, Clock()))


def step(number: int, **values: float) -> Metric:
    return Metric(step=number, total=10, values={"loss": 2.0, **values})


def test_a_step_is_a_line_that_the_next_one_takes_the_place_of() -> None:
    screen = Screen()
    tell = told(screen)
    tell(step(1, tokens_per_s=512.4, seconds=90.0))
    tell(step(2, tokens_per_s=510.0, seconds=120.0))
    clear = "\r\x1b[K"
    assert screen.getvalue() == (
        f"{clear}step 1 of 10 · loss 2.000 · 512 tokens/s"
        f"{clear}step 2 of 10 · loss 2.000 · 510 tokens/s · 4 min left"
    )


def test_what_costs_is_told_with_every_step() -> None:
    screen = Screen()
    spec = TrainSpec(name="phi", dataset=Dataset(train_file=Path("rows")), base_model="phi-4")
    run = Run(name="phi", backend="azureml", spec=spec, priced=True, usd_rate=3.6)
    tell = Told(Narrator(screen, Clock()), Meter(run))
    tell(Status(state="preparing", at=0))
    tell(Status(state="running", at=1000))
    tell(step(1).model_copy(update={"at": 1000}))
    tell(step(2).model_copy(update={"at": 2500}))
    first, second = screen.getvalue().split("\r\x1b[K")[-2:]
    assert first == "step 1 of 10 · loss 2.000"
    assert second == "step 2 of 10 · loss 2.000 · US$1.50 so far"


def test_an_evaluation_stays_with_one_answer() -> None:
    screen = Screen()
    tell = told(screen)
    tell(step(5))
    tell(Metric(step=5, total=10, values={"eval_loss": 1.25}))
    tell(Sample(step=5, prompt="Who?", text="I.\n" * 90))
    tell(Sample(step=5, prompt="Where?", text="Here."))
    tell(step(6))
    lines = [line for line in screen.getvalue().replace("\r\x1b[K", "\n").splitlines() if line]
    assert lines[1] == "step 5 of 10: eval loss 1.250"
    assert lines[2].startswith("  “Who?” → “I. I. I.") and lines[2].endswith("…”")
    assert lines[-1] == "step 6 of 10 · loss 2.000 · eval loss 1.250"
    assert "Where?" not in screen.getvalue()


def test_what_a_model_says_commands_no_terminal() -> None:
    screen = Screen()
    tell = told(screen)
    tell(Metric(step=5, total=10, values={"eval_loss": 1.25}))
    tell(Sample(step=5, prompt="\x1b[2J", text="\x1b]52;c;aGk=\x07"))
    tell(Status(state="preparing", detail="\x1b[2Jloading\nit"))
    assert screen.getvalue() == (
        "step 5 of 10: eval loss 1.250\n  “␛[2J” → “␛]52;c;aGk=␇”\n\r\x1b[K [2Jloading it"
    )


def test_the_numbers_of_the_exam_are_not_a_step() -> None:
    stream = io.StringIO()
    tell = told(stream)
    tell(Metric(step=10, values={"base_loss": 2.0, "tuned_loss": 1.0}))
    tell(Sample(step=10, prompt="Who?", text="I."))
    tell(Status(state="succeeded", detail="Done."))
    assert stream.getvalue() == "", "how it ended is for who followed it to say"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1 h 30 min"), (7500, "2 h 05 min")],
)
def test_a_duration_for_people(seconds: float, told: str) -> None:
    assert duration(seconds) == told
