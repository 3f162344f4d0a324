"""One batch through a flow: every line asked, judged if that is wanted, kept in the ledger and as a page."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from phichat.backends.base import Report, Value
from phichat.errors import PhichatError
from phichat.events import Artifact, Event, Metric, Status
from phichat.flowrunner.engines import Engine, Flow, Results, Row
from phichat.flowrunner.report import Answered, render
from phichat.flowrunner.rows import Asked
from phichat.paths import write_atomic
from phichat.runs import FlowSpec, Ledger, Run

ASKED = ("question", "chat_history")
RESULTS, REPORT = "results.jsonl", "report.html"
KILLED = Status(state="failed", detail="It was ended from outside.")


class FlowResult(Value):
    """What became of a batch."""

    run: str
    """Its name in the ledger."""
    lines: tuple[Answered, ...]
    metrics: dict[str, float] = Field(default_factory=dict)
    """The means of an evaluation, over the lines that were answered."""
    results: Path
    """Every line as JSON."""
    report: Path
    """The page for people."""

    @property
    def failed(self) -> list[Answered]:
        """The lines without an answer, each with its reason."""
        return [line for line in self.lines if line.error]


class Story:
    """Tells the ledger how a batch goes, from its beginning to its end, whatever that is."""

    def __init__(self, ledger: Ledger, run: Run, report: Report) -> None:
        self.folder = ledger.directory / run.name
        self._ledger = ledger
        self._run = run
        self._report = report
        self._events = ledger.events(run.name)
        self._seq = 0
        self._end = KILLED
        self._alive = _alive(ledger, run.name)

    def __enter__(self) -> Story:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._alive.acquire()
        self._ledger.write(self._run.model_copy(update={"state": "running"}))
        self.keep(Status(state="running"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, PhichatError):
            self._end = Status(state="failed", detail=error.message)
        elif isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
            self._end = Status(state="cancelled")
        elif error is not None:
            self._end = Status(state="failed", detail=f"{type(error).__name__}: {error}")
        self.keep(self._end)
        told = {"state": self._end.state, "detail": self._end.detail, "ended": time.time()}
        self._ledger.write(self._run.model_copy(update=told))
        self._alive.release()

    def tell(self, event: Event) -> None:
        """Tell whoever watches; nobody will want to know later."""
        self._report(event)

    def keep(self, event: Event) -> None:
        """Keep an event in the ledger."""
        self._events.append(event.model_copy(update={"seq": self._seq}))
        self._seq += 1

    def end(self, result: FlowResult) -> None:
        """Keep what became of it."""
        if result.metrics:
            self.keep(Metric(step=0, values=result.metrics))
        for path in (result.results, result.report):
            self.keep(Artifact(name=path.name, uri=path.as_uri()))
        failed, all_ = len(result.failed), len(result.lines)
        told = f"{all_ - failed} done, {failed} failed"
        self._end = Status(state="failed" if failed else "succeeded", detail=told)


def kept(ledger: Ledger, run: Run) -> FlowResult | None:
    """What became of a batch, read again from the ledger; None if it was not carried through."""
    folder = ledger.directory / run.name
    results, report = folder / RESULTS, folder / REPORT
    try:
        texts = results.read_text(encoding="utf-8").split("\n")
        lines = [Answered.model_validate_json(text) for text in texts if text]
    except (OSError, ValidationError):
        return None
    metrics: dict[str, float] = {}
    for event in ledger.events(run.name):
        if isinstance(event, Metric):
            metrics = event.values
    return FlowResult(run=run.name, lines=tuple(lines), metrics=metrics, results=results, report=report)


def bury(ledger: Ledger) -> None:
    """Give an end to batches whose command was killed before it could write one down."""
    for run in ledger.runs():
        if not isinstance(run.spec, FlowSpec) or run.finished:
            continue
        try:
            with _alive(ledger, run.name).acquire(blocking=False):
                now = ledger.run(run.name)
                if not now.finished:
                    ledger.write(now.model_copy(update={"state": KILLED.state, "detail": KILLED.detail}))
        except Timeout:
            continue


def _alive(ledger: Ledger, name: str) -> FileLock:
    """The lock that a batch holds while it runs, and that the system undoes however it ends."""
    return FileLock(ledger.directory / name / "alive.lock", thread_local=False)


async def answered(
    engine: Engine, spec: FlowSpec, rows: Sequence[Asked], environ: Mapping[str, str], story: Story
) -> FlowResult:
    """Ask every row that is a question, judge the answers in an evaluation, and write it all down.

    Raises:
        BackendError: the flow failed as a whole; what it wrote stays in the run's folder.
    """
    work = story.folder / "work"
    good = [row for row in rows if not row.error and (spec.flow == "chat" or row.reference is not None)]
    ask = [{name: getattr(row, name) for name in ASKED} for row in good]
    found = await _through(engine, "chat", ask, work, environ, story.tell)
    lines = {row.line: _line(row) for row in rows}
    if spec.flow == "evaluate":
        lines |= {row.line: _unwanted(row) for row in rows if not row.error and row.reference is None}
    lines |= {row.line: _line(row, found, at) for at, row in enumerate(good)}
    metrics: dict[str, float] = {}
    if spec.flow == "evaluate":
        metrics = await _judge(engine, lines, work, story.tell)
    result = await asyncio.to_thread(_write, spec, story.folder, list(lines.values()), metrics)
    await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
    story.end(result)
    return result


async def _judge(engine: Engine, lines: dict[int, Answered], work: Path, report: Report) -> dict[str, float]:
    """Put its numbers to every line that has an answer; returns the means."""
    judged = [line for line in lines.values() if not line.error]
    rows = [{"answer": line.answer, "reference": line.reference} for line in judged]
    found = await _through(engine, "evaluate", rows, work, {}, report)
    for at, line in enumerate(judged):
        told = {"metrics": found.done.get(at, {}), "error": found.failed.get(at, "")}
        lines[line.line] = line.model_copy(update=told)
    return found.metrics


async def _through(
    engine: Engine, flow: Flow, rows: Sequence[Row], work: Path, environ: Mapping[str, str], report: Report
) -> Results:
    if not rows:
        return Results(done={}, failed={})
    return await engine.batch(flow, rows, work / flow, environ, report)


def _line(row: Asked, found: Results | None = None, at: int = 0) -> Answered:
    done, error = (found.done.get(at, {}), found.failed.get(at, "")) if found else ({}, row.error)
    return Answered(
        line=row.line,
        question=row.question,
        reference=row.reference,
        answer=done.get("answer"),
        error=error,
    )


def _unwanted(row: Asked) -> Answered:
    told = "It does not say which answer is wanted: no `reference`."
    return Answered(line=row.line, question=row.question, error=told)


def _write(
    spec: FlowSpec, folder: Path, lines: Sequence[Answered], metrics: Mapping[str, float]
) -> FlowResult:
    results, report = folder / RESULTS, folder / REPORT
    write_atomic(results, "".join(f"{line.model_dump_json()}\n" for line in lines))
    about = f"{spec.data.name} through the deployment {spec.deployment} ({spec.engine})"
    write_atomic(report, render(spec.name, about, lines, metrics))
    return FlowResult(
        run=spec.name, lines=tuple(lines), metrics=dict(metrics), results=results, report=report
    )
