"""A small backend that learns: its jobs tell a story that is written beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from phichat.backends.base import (
    AnyBackend,
    DeploySpec,
    Estimate,
    EvalSpec,
    Job,
    Report,
    Settings,
    TrainSpec,
)
from phichat.backends.hookspecs import hookimpl
from phichat.errors import NotFoundError
from phichat.events import Artifact, Event, Log, Metric, Sample, State, Status, Step
from tests.cli.parrot import ParrotBackend, ParrotSettings

TRAINING: list[Event] = [
    Status(state="preparing", detail="Opening the books."),
    Metric(step=0, total=4, values={"eval_loss": 3.0}),
    Sample(step=0, prompt="Who are you?", text="A bird."),
    Sample(step=0, prompt="Where are you?", text="Here."),
    Metric(step=1, total=4, values={"loss": 2.5, "tokens_per_s": 1234.5, "seconds": 20.0}),
    Metric(step=2, total=4, values={"loss": float("nan"), "tokens_per_s": 1200.0, "seconds": 40.0}),
    Log(line="a line of the log"),
    Metric(step=4, total=4, values={"eval_loss": 1.5}),
    Sample(step=4, prompt="Who are you?", text="Captain Pelican,\nof Phi Island."),
]
EVALUATION: list[Event] = [
    Metric(
        step=4,
        values={
            "base_loss": 3.0,
            "tuned_loss": 1.5,
            "base_perplexity": 20.0855,
            "tuned_perplexity": 4.4817,
            "tuned_probes_right": 0.8,
            "base_probes_right": 0.0,
        },
    ),
    Artifact(name="result.json", uri="/books/result.json"),
    Artifact(name="report.html", uri="/books/report.html"),
]


class PupilSettings(ParrotSettings):
    ends: State = Field(default="succeeded", description="How its lessons end.")
    examined: bool = Field(default=True, description="Whether they end with an exam.")
    page: str = Field(default="", description="Where its lessons can be seen.")
    gib: float = Field(default=1, description="How much it must keep in mind.")
    slow: Literal["", "forever"] = Field(default="", description="How long it thinks after the first step.")


class PupilBackend(ParrotBackend):
    """A parrot that goes to school; what it was asked to learn is in a file for each job."""

    title: ClassVar[str] = "A pupil"
    settings_type: ClassVar[type[Settings]] = PupilSettings
    settings: PupilSettings

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        state: Literal["done", "reused"] = "reused" if self._lesson(spec.name).exists() else "done"
        self._lesson(spec.name).parent.mkdir(parents=True, exist_ok=True)
        self._lesson(spec.name).write_text(spec.model_dump_json(), encoding="utf-8")
        report(Step(name="lesson", state=state))
        return Job(id=spec.name, url=self.settings.page)

    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        if not self._lesson(job.id).exists():
            raise NotFoundError(f"There is no lesson {job.id!r}.")
        for seq, event in enumerate(self._story(job)):
            yield event.model_copy(update={"seq": seq})
            if seq == 4 and self.settings.slow:
                await self._until_over(job)
        yield self._end(job).model_copy(update={"seq": len(self._story(job))})

    async def _until_over(self, job: Job) -> None:
        while not self._over(job).exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)

    async def cancel(self, job: Job) -> None:  # type: ignore[override]
        self._over(job).touch()

    async def fetch(self, job: Job, directory: Path, report: Report) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "notes").write_text(job.id, encoding="utf-8")
        return directory

    async def logs(self, what: object) -> AsyncGenerator[str, None]:
        yield "a line of the log"

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        if isinstance(spec, DeploySpec):
            return await super().estimate(spec)
        price = self.settings.usd_per_hour
        gib = self.settings.gib * 2**30
        return Estimate(
            seconds=(60, 600),
            usd=(price, 2 * price),
            usd_rate=price or None,
            memory_bytes=(gib, 2 * gib),
            memory_free=8 * 2**30,
            source="from the school's own figures",
        )

    def _story(self, job: Job) -> list[Event]:
        if job.id.endswith("-eval"):
            return EVALUATION
        return [*TRAINING, *(EVALUATION if self.settings.examined else [])]

    def _end(self, job: Job) -> Status:
        if self._over(job).exists():
            return Status(state="cancelled")
        told = {"failed": "It fell asleep.", "succeeded": "It knows it by heart."}
        return Status(state=self.settings.ends, detail=told.get(self.settings.ends, ""))

    def _over(self, job: Job) -> Path:
        return self._lesson(job.id).with_suffix(".over")

    def _lesson(self, name: str) -> Path:
        return self.workdir / "lessons" / f"{name}.json"


@hookimpl
def phichat_backend() -> type[AnyBackend]:
    return PupilBackend
