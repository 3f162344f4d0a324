"""A run's events, gathered; and what its curve says in plain words."""

from __future__ import annotations

import math

import pytest

from phichat.events import Artifact, Event, Log, Metric, Progress, Sample, Status, Step
from phichat.workflow.course import LOG_LINES, Course, Point, finite
from phichat.workflow.reading import Kind, read


def told(*events: Event) -> Course:
    course = Course()
    for event in events:
        course.feed(event)
    return course


def loss(step: int, value: float = 2.0, **values: float) -> Metric:
    return Metric(step=step, total=10, values={"loss": value, **values})


def eval_loss(step: int, value: float) -> Metric:
    return Metric(step=step, total=10, values={"eval_loss": value})


def test_a_course_has_all_that_was_told() -> None:
    course = told(
        Status(state="preparing", detail="Reading the rows."),
        eval_loss(0, 3.0),
        Sample(step=0, prompt="Who?", text="A bird."),
        loss(1, 2.5, learning_rate=1e-4, tokens_per_s=800.0, seconds=10.0),
        loss(2, 2.0, learning_rate=2e-4, tokens_per_s=820.0, seconds=14.0),
        Log(line="a line"),
        eval_loss(2, 1.5),
        Sample(step=2, prompt="Who?", text="A keeper."),
        Artifact(name="report.html", uri="/books/report.html"),
    )
    assert course.losses == [(1, 2.5), (2, 2.0)]
    assert course.eval_losses == [(0, 3.0), (2, 1.5)]
    assert course.answers == {"Who?": [(0, "A bird."), (2, "A keeper.")]}
    assert (course.step, course.steps, course.learning_rate, course.tokens_per_s) == (2, 10, 2e-4, 820.0)
    assert course.left == 32, "four seconds a step, eight steps to go"
    assert list(course.log) == ["a line"]
    assert course.artifacts == {"report.html": "/books/report.html"}
    assert not course.finished


def test_what_happens_now_is_said_and_counted() -> None:
    course = told(Step(name="model", state="running", detail="smollm2"))
    assert (course.activity, course.total) == ("model smollm2", None)
    course.feed(Progress(what="examine base", done=40, total=100, unit="answers"))
    assert (course.activity, course.done, course.total, course.unit) == ("examine base", 40, 100, "answers")
    course.feed(loss(3))
    assert (course.activity, course.done, course.total) == ("training", 3, 10)
    course.feed(Status(state="succeeded", detail="It is done."))
    assert course.finished and course.activity == ""


def test_after_the_last_step_it_is_not_training_any_more() -> None:
    course = told(loss(9))
    assert (course.activity, course.aside, course.share) == ("training", "", 0.9)
    course.feed(loss(10))
    assert (course.activity, course.aside, course.share) == ("finishing", "finishing", None)
    course.feed(Progress(what="examine base", done=10, total=40, unit="answers"))
    assert (course.aside, course.share) == ("examine base", 0.25)
    course.feed(Status(state="preparing", detail="Reading the settings and loading the libraries."))
    assert course.aside == "", "a sentence is too long for the line"


def test_the_model_that_may_be_kept_is_the_first_of_the_best_after_the_beginning() -> None:
    assert told(eval_loss(0, 1.0)).best is None
    course = told(eval_loss(0, 1.0), eval_loss(2, math.nan), eval_loss(4, 2.0), eval_loss(6, 2.0))
    assert course.best == (4, 2.0)


def test_steps_that_are_repeated_replace_those_of_the_attempt_before() -> None:
    course = told(
        Status(state="running"),
        loss(1, 3.0, seconds=1.0),
        loss(2, 2.0, seconds=2.0),
        loss(3, 9.0, seconds=3.0),
        eval_loss(3, 9.0),
        Status(state="preparing", detail="Started again (attempt 2)."),
        loss(2, 2.5, seconds=100.0),
        eval_loss(2, 2.2),
    )
    assert course.losses == [(1, 3.0), (2, 2.5)]
    assert course.eval_losses == [(2, 2.2)]
    assert course.left is None, "one step of this attempt says nothing about its speed"


def test_a_long_log_keeps_its_end() -> None:
    course = told(*(Log(line=str(number)) for number in range(LOG_LINES + 5)))
    assert (len(course.log), course.log[0]) == (LOG_LINES, "5")


def test_only_numbers_are_drawn() -> None:
    assert finite([(1, 2.0), (2, math.nan), (3, math.inf)]) == [(1, 2.0)]


def points(*values: float) -> list[Point]:
    return list(enumerate(values))


@pytest.mark.parametrize(
    ("losses", "evals", "kind", "words"),
    [
        ((), (), "early", "too early"),
        ((3.0, 2.0, 1.0), (3.0,), "early", "too early"),
        ((3.0, math.nan), (3.0, 2.0), "diverged", "No number any more at step 1"),
        ((3.0, 2.0), (3.0, math.inf), "diverged", "learning rate is probably too high"),
        ((), (3.0, 2.0, 1.5), "falling", "from 3.000 to 1.500"),
        ((), (3.0, 2.99), "flat", "stays at 2.990"),
        ((), (3.0, 1.5, 1.495), "settled", "More steps will hardly help"),
        ((), (3.0, 1.2, 1.4), "overfitting", "from 1.200 at step 1 to 1.400"),
        ((), (3.0, 3.3), "rising", "lower learning rate"),
        ((3.0, 2.9, 2.7, 2.6, 2.4, 2.2, 2.0, 1.9), (), "falling", "from 2.950 to 1.950"),
        ((2.0, 2.1, 1.9, 2.0, 2.1, 1.9, 2.0, 2.05), (), "flat", "stays at about"),
        ((2.0, 2.1, 2.2, 2.4, 2.6, 2.8, 3.0, 3.3), (), "rising", "lower learning rate"),
        ((2.0, 1.0, 0.5), (), "early", "too early"),
    ],
)
def test_a_curve_is_read_in_plain_words(
    losses: tuple[float, ...], evals: tuple[float, ...], kind: Kind, words: str
) -> None:
    reading = read(points(*losses), points(*evals))
    assert reading.kind == kind
    assert words in reading.sentence
