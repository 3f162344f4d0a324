"""A small backend that repeats what it hears: quick enough to run every command against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import ClassVar, NoReturn

from pydantic import Field, SecretStr

from phichat.backends.base import (
    Access,
    AnyBackend,
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
    Resource,
    Settings,
    TrainSpec,
    Usage,
)
from phichat.backends.hookspecs import hookimpl
from phichat.errors import NotFoundError, UnavailableError, UnsupportedError
from phichat.events import Event, Progress, Step


class ParrotSettings(Settings):
    usd_per_hour: float = Field(default=0, ge=0, description="What a parrot costs.")
    budget: float | None = Field(default=None, description="What all of it may cost.")
    healthy: bool = Field(default=True, description="Whether it is.")
    seeds: SecretStr | None = Field(default=None, description="What it eats.")


class ParrotBackend(Backend[ParrotSettings]):
    """Repeats the last message word by word; some words make it behave otherwise."""

    title: ClassVar[str] = "A parrot"
    settings_type: ClassVar[type[Settings]] = ParrotSettings

    async def check(self) -> list[Check]:
        fix = "" if self.settings.healthy else "Call a vet."
        return [Check(name="parrot", ok=self.settings.healthy, detail="looked at", fix=fix)]

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        raise UnsupportedError("A parrot learns nothing.")

    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        raise NotFoundError("No job.")
        yield

    async def cancel(self, job: Job) -> NoReturn:
        raise NotFoundError("No job.")

    async def plan(self, spec: TrainSpec | DeploySpec | None) -> list[Step]:
        return [Step(name="cage", state="reused"), Step(name="parrot", state="planned", detail="grey")]

    async def estimate(self, spec: TrainSpec | DeploySpec) -> Estimate:
        return Estimate(usd=(0, 0), usd_per_hour=self.settings.usd_per_hour, source="the pet shop")

    async def deploy(self, spec: DeploySpec, report: Report) -> Deployment:
        report(Progress(what="feather", done=1, total=2))
        self._file(spec.name).parent.mkdir(parents=True, exist_ok=True)
        self._file(spec.name).write_text(str(spec.model), encoding="utf-8")
        return Deployment(id=spec.name)

    async def deployments(self) -> list[DeploymentState]:
        return [
            DeploymentState(
                deployment=Deployment(id=file.name),
                healthy=True,
                model=file.read_text("utf-8"),
                template_sha256="squawk",
            )
            for file in sorted(self.workdir.glob("parrots/*"))
        ]

    async def delete(self, deployment: Deployment) -> None:
        self._file(deployment.id).unlink(missing_ok=True)

    async def chat(
        self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions
    ) -> AsyncGenerator[str | Usage, None]:
        heard = messages[-1].content
        if "vanish" in heard:
            raise UnavailableError("The parrot has flown away.", "phichat status")
        if "crash" in heard:
            raise RuntimeError("a feather fell")
        words = [*(f"{message.role}:" for message in messages[:-1]), *heard.split(" ")]
        for count, word in enumerate(words):
            yield word if count == 0 else f" {word}"
            while word == "forever":
                await asyncio.sleep(0.01)
                yield "!"
        yield Usage(
            prompt_tokens=len(messages),
            completion_tokens=len(words),
            finish_reason="stop",
            dropped_messages=0,
            template_sha256="song" if "template" in heard else "squawk",
        )

    async def resources(self) -> list[Resource]:
        price = self.settings.usd_per_hour
        return [
            Resource(kind="parrot", name=state.deployment.id, state="awake", usd_per_hour=price)
            for state in await self.deployments()
        ]

    async def remove(self, resource: Resource, report: Report) -> None:
        await self.delete(Deployment(id=resource.name))

    async def access(self, deployment: Deployment) -> Access:
        return Access(base_url="http://127.0.0.1:9/v1", key="polly wants '$x'")

    def _file(self, name: str) -> Path:
        return self.workdir / "parrots" / name


@hookimpl
def phichat_backend() -> type[AnyBackend]:
    return ParrotBackend
