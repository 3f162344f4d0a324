"""A backend that learns from your conversations which word follows which."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from pydantic import Field

from phichat.backends.base import (
    Backend,
    ChatOptions,
    Check,
    Deployment,
    DeploymentState,
    DeploySpec,
    Estimate,
    EvalSpec,
    Job,
    Message,
    Report,
    Settings,
    TrainSpec,
    Usage,
)
from phichat.backends.hookspecs import hookimpl
from phichat.backends.process import ProcessJobs
from phichat.errors import NotFoundError, UnsupportedError
from phichat.events import Event, Step
from phichat.paths import write_atomic
from phichat_markov import chain


class MarkovSettings(Settings):
    """What `[backends.markov]` in phichat.toml may say."""

    order: int = Field(default=2, ge=1, le=4, description="How many words the chain looks back.")
    delay: float = Field(default=0.05, ge=0, description="Seconds between two words of an answer.")


class Markov(Backend[MarkovSettings]):
    """Trains in a process of its own, keeps what it knows in files, and draws one word after the other."""

    title = "Markov chain"
    settings_type = MarkovSettings

    def __init__(self, settings: MarkovSettings, workdir: Path) -> None:
        super().__init__(settings, workdir)
        self.jobs = ProcessJobs(workdir / "jobs")
        self.folder = workdir / "deployments"

    async def check(self) -> list[Check]:
        new = sys.version_info >= (3, 11)
        return [Check(name="Python", ok=new, fix="Install Python 3.11 or newer.")]

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        if isinstance(spec, EvalSpec):
            raise UnsupportedError("A Markov chain cannot be evaluated.")
        train_file = str(spec.dataset.train_file.absolute())
        command = [sys.executable, chain.__file__, train_file, str(self.settings.order)]
        await asyncio.to_thread(self.jobs.start, spec.name, command)
        return Job(id=spec.name)

    def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        return self.jobs.watch(job.id)

    async def cancel(self, job: Job) -> None:
        await self.jobs.cancel(job.id)

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        return Estimate(usd=(0, 0), source="It runs on this machine.")

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        trained = spec.model.id if isinstance(spec.model, Job) else spec.model
        model = await asyncio.to_thread(read, self.jobs.directory / trained / "model.json")
        await asyncio.to_thread(write_atomic, self.file(spec.name), model)
        report(Step(name="model", state="done", detail=trained))
        return Deployment(id=spec.name)

    async def deployments(self) -> list[DeploymentState]:
        files = sorted(self.folder.glob("*.json"))
        return [DeploymentState(deployment=Deployment(id=file.stem), healthy=True) for file in files]

    async def delete(self, deployment: Deployment) -> None:
        self.file(deployment.id).unlink(missing_ok=True)

    async def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        if options.stop:
            raise UnsupportedError("A Markov chain does not know stop texts.")
        model = json.loads(await asyncio.to_thread(read, self.file(deployment.id)))
        dice = random.Random(options.seed)
        words = [word for message in messages for word in message.content.split()]
        asked = len(words)
        while (used := len(words) - asked) < options.max_new_tokens:
            word = chain.next_word(model, words, options.temperature, dice)
            if not word:
                yield Usage(prompt_tokens=asked, completion_tokens=used, finish_reason="stop")
                return
            words.append(word)
            yield f"{word} "
            await asyncio.sleep(self.settings.delay)
        yield Usage(prompt_tokens=asked, completion_tokens=used, finish_reason="length")

    def file(self, deployment: str) -> Path:
        return self.folder / f"{deployment}.json"


def read(file: Path) -> str:
    """The text of a model or a deployment, which may not be there."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFoundError(f"There is no {file}.", "Train one first: phichat train") from error


@hookimpl
def phichat_backend() -> type[Markov]:
    return Markov
