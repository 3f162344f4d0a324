"""One run: what happens, the curve, the answers to the probes, whether it helped, and the log."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from phichat.backends.base import TrainSpec
from phichat.events import Status
from phichat.runs import Run
from phichat.screens.choice import Choice
from phichat.screens.panels import Meter
from phichat.screens.train.plot import Plot, Series
from phichat.screens.train.runs import EFFECT_SIGNS, SIGNS, Known
from phichat.screens.wording import amount
from phichat.workflow import money
from phichat.workflow.course import TRAINING, Course
from phichat.workflow.estimates import cost_told, duration
from phichat.workflow.evaluation import Evaluation, Pair, rows, verdict
from phichat.workflow.reading import Kind, read
from phichat.workflow.training import took

Page = Literal["curve", "answers", "result", "log"]
PAGES: dict[Page, tuple[str, str]] = {
    "curve": ("c", "Curve"),
    "answers": ("a", "Answers"),
    "result": ("r", "Result"),
    "log": ("l", "Log"),
}
"""The pages with their keys and titles."""
READINGS: dict[Kind, tuple[str, str]] = {
    "early": ("·", "$text-secondary"),
    "falling": ("↘", "$text-success"),
    "settled": ("→", "$text-success"),
    "flat": ("→", "$text-warning"),
    "overfitting": ("↗", "$text-warning"),
    "rising": ("↗", "$text-error"),
    "diverged": ("✗", "$text-error"),
}
CHOICES = ("deploy", "compare", "report", "evaluate", "fetch", "resume", "again", "cancel")


class RunView(Vertical):
    """A run as far as it is: a head that is always there, and one of its pages."""

    def __init__(self) -> None:
        super().__init__(id="run")
        self.run: Run | None = None
        self.course = Course()
        self._meter: money.Meter | None = None
        self.found: Evaluation | None = None
        self.page: Page = "curve"
        self._overlaid: list[tuple[str, Known]] = []
        self._changed: Sequence[Pair] = ()
        self._logged = -1
        """How many events the run had when its log was shown last."""

    def compose(self) -> ComposeResult:
        yield Static(id="run-title")
        yield Static(id="run-now")
        yield Meter()
        yield Static(id="run-numbers")
        yield Static(id="run-reading")
        yield Static(id="run-machine")
        yield Horizontal(*(Choice(f"train.{name}") for name in CHOICES), classes="choices")
        with Horizontal(id="pages"):
            for page in PAGES:
                yield PageTab(page)
        with Vertical(id="page-curve", classes="page"):
            yield Plot(id="plot")
            yield Static(id="run-answers")
        yield VerticalScroll(Static(id="page-answers-text"), id="page-answers", classes="page")
        with VerticalScroll(id="page-result", classes="page"):
            yield Static(id="page-result-text")
        yield VerticalScroll(Static(id="page-log-text"), id="page-log", classes="page")

    def open(self, run: Run, course: Course, meter: money.Meter) -> None:
        """Turn to a run; its events come into `course`, what it costs into `meter`."""
        self.run, self.course, self._meter, self.found = run, course, meter, None
        self.show_machine("", gone=True)
        self._logged = -1
        self.query_one("#page-log", VerticalScroll).anchor()  # at its end, until somebody scrolls
        self.query_one("#page-result-text", Static).update(_nothing(run))
        self.turn("curve")

    def overlay(self, others: Sequence[tuple[str, Known]]) -> None:
        """Draw these runs, each with its sign, into the same picture."""
        self._overlaid = list(others)

    def turn(self, page: Page) -> None:
        """Show a page."""
        self.page = page
        for each in PAGES:
            self.query_one(f"#page-{each}").display = each == page
        for tab in self.query(PageTab):
            tab.set_class(tab.page == page, "-here")
        self.show()

    def show(self) -> None:
        """Show the run as it is now."""
        if self.run is None:
            return
        course, run = self.course, self.run
        ended = run.finished or course.finished
        # While it runs, nothing changes its place: a text that is longer is cut off.
        self.query_one("#run-title", Static).update(_title(run, self._meter), layout=False)
        self.query_one("#run-now", Static).update(_now(run, course), layout=ended)
        meter = self.query_one(Meter)
        self.set_class(ended, "-ended")
        meter.show(course.done, course.total or 0)
        self.query_one("#run-numbers", Static).update(_numbers(run, course), layout=ended)
        self.query_one("#run-reading", Static).update(self._reading(), layout=ended)
        match self.page:
            case "curve":
                self._draw()
            case "answers":
                self.query_one("#page-answers-text", Static).update(_every_answer(course))
            case "log":
                self._log()

    def show_machine(self, told: str, *, gone: bool) -> None:
        """Show whether the machine of the run still costs something."""
        line = self.query_one("#run-machine", Static)
        line.display = bool(told)
        sign = ("✓", "$text-success") if gone else ("▲", "$text-warning")
        line.update(Content.assemble(sign, f" {told}"))

    def show_result(self, found: Evaluation | None, changed: Sequence[Pair]) -> None:
        """Show whether it helped."""
        self._changed = changed
        self.retell(found)
        if found and self.run and self.page == "curve":
            self.turn("result")

    def retell(self, found: Evaluation | None) -> None:
        """Show what is known about that now: people may have voted meanwhile."""
        self.found = found
        if found and self.run:
            self.query_one("#page-result-text", Static).update(_result(found, self._changed))
        self.show()

    def _reading(self) -> Content:
        """Whether it helped; before that is known, what the curve says."""
        if self.found:
            effect, told = verdict(self.found)
            return Content.assemble(EFFECT_SIGNS[effect], f" {told}")
        course = self.course
        failed = self.run is not None and self.run.state == "failed"
        if failed or not (course.losses or course.eval_losses):
            return Content("")
        kind, sentence = read(course.losses, course.eval_losses)
        return Content.assemble(READINGS[kind], f" {sentence}")

    def _draw(self) -> None:
        course = self.course
        series = [
            Series("loss", course.losses, colour="$text-secondary"),
            Series("eval loss", course.eval_losses, "●", "$text-primary"),
        ]
        for sign, each in self._overlaid:
            points = each.course.eval_losses or each.course.losses
            series.append(Series(each.run.name, points, sign, "$text-accent"))
        self.query_one(Plot).show(series, course.steps)
        self.query_one("#run-answers", Static).update(_last_answers(course))

    def _log(self) -> None:
        if self.course.events != self._logged:
            self._logged = self.course.events
            lines = self.course.log or ["The run has written nothing else."]
            self.query_one("#page-log-text", Static).update(Content("\n".join(lines)))


class PageTab(Static):
    """The name of a page and its key; a click turns to it."""

    def __init__(self, page: Page) -> None:
        key, title = PAGES[page]
        super().__init__(Content.assemble((key, "$text-secondary"), f" {title}"), classes="tab")
        self.page = page

    async def on_click(self) -> None:
        await self.run_action(f"screen.page({self.page!r})")


def _title(run: Run, meter: money.Meter | None) -> Content:
    sign, colour = SIGNS[run.state]
    seconds = took(run)
    told = f" · {duration(seconds)}" if seconds is not None and run.finished else ""
    if meter and (cost := cost_told(meter.cost(run.ended or time.time()), priced=run.priced)):
        told += f" · {cost}" if run.finished else f" · {cost} so far"
    return Content.assemble((run.name, "bold"), "  ", (sign, colour), f" {run.state}{told}")


def _now(run: Run, course: Course) -> Content:
    """What happens, how much of it is done and how long it takes; of a run that has ended, how."""
    if run.finished:
        # Paths as one would type them here: the whole of one has no room.
        return Content(run.detail.replace(f"{Path.cwd()}{os.sep}", ""))
    told = course.activity or "waiting for the first news"
    if course.total or course.done:
        told += f" {amount(course.done, course.total, course.unit)}"
    if course.left is not None and course.activity == TRAINING:
        told += f" · {duration(course.left)} left"
    return Content.assemble(told, (" · it goes on when you leave", "$text-secondary"))


def _numbers(run: Run, course: Course) -> Content:
    told = []
    if course.losses:
        told.append(f"loss {course.losses[-1][1]:.3f}")
    if course.eval_losses:
        told.append(_eval_loss(run, course))
    if course.learning_rate is not None:
        rate = f"{course.learning_rate:.1e}" if course.learning_rate else "0"
        told.append(f"learning rate {rate}")
    if course.tokens_per_s:
        told.append(f"{course.tokens_per_s:,.0f} tokens/s")
    return Content(" · ".join(told))


def _eval_loss(run: Run, course: Course) -> str:
    """The last one; once a model is there that is of an earlier step, that step's before it."""
    step, last = course.eval_losses[-1]
    best = course.best
    keeps = isinstance(run.spec, TrainSpec) and run.spec.hyperparameters.get("keep_best", True)
    if run.state != "succeeded" or not keeps or best is None or best[0] == step:
        return f"eval loss {last:.3f}"
    return f"eval loss {best[1]:.3f} (kept: step {best[0]}), {last:.3f} (last step)"


def _last_answers(course: Course) -> Content:
    """What the model answers now, one line a probe."""
    lines = [
        Content.assemble((prompt, "$text-secondary"), "  ", _line(answers[-1][1]))
        for prompt, answers in course.answers.items()
        if answers
    ]
    return Content("\n").join(lines)


def _every_answer(course: Course) -> Content:
    """Each probe with what was answered to it, from the first evaluation to the last."""
    if not course.answers:
        return Content("Nothing was asked yet: the probes are asked at each evaluation.")
    parts = []
    for prompt, answers in course.answers.items():
        parts.append(Content.styled(prompt, "bold"))
        parts += [
            Content.assemble((f"{f'step {step}':>10}  ", "$text-secondary"), _line(text))
            for step, text in answers
        ]
        parts.append(Content(""))
    return Content("\n").join(parts)


def _result(found: Evaluation, changed: Sequence[Pair]) -> Content:
    """The table of both models, where the report is, and the answers that changed."""
    table = [("", "BASE", "TUNED"), *rows(found)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in table]
    parts = [Content.styled(lines[0], "$text-secondary"), *map(Content, lines[1:]), Content("")]
    if found.report:
        parts += [Content.assemble(("Report  ", "$text-secondary"), found.report), Content("")]
    if changed:
        parts.append(Content.styled(f"Answers that changed: {len(changed)}", "bold"))
    for pair in changed:
        parts.append(Content(_line(pair.prompt)))
        parts.append(Content.assemble(("   base  ", "$text-secondary"), _line(pair.base)))
        parts.append(Content.assemble(("  tuned  ", "$text-primary"), _line(pair.tuned)))
        if pair.reference:
            parts.append(Content.assemble((" wanted  ", "$text-secondary"), _line(pair.reference)))
        parts.append(Content(""))
    return Content("\n").join(parts)


def _nothing(run: Run) -> Content:
    if Status(state=run.state).finished:
        return Content("Nobody has compared the model of this run with the base model.")
    return Content("When the training is done, the base model and the tuned one are compared here.")


def _line(text: str) -> str:
    return " ".join(text.split())
