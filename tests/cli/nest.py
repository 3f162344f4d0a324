"""A small backend that has to be made ready, and wants to know who you are."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from phichat.backends.base import AnyBackend, DeploySpec, Report, Settings, TrainSpec
from phichat.backends.hookspecs import hookimpl
from phichat.errors import AuthError, BackendError
from phichat.events import Status, Step
from tests.cli.parrot import ParrotBackend, ParrotSettings

PARTS = ("tree", "branch", "straw")


class NestSettings(ParrotSettings):
    storm: str = Field(default="", description="The part that the wind takes.")
    keyring: bool = Field(default=True, description="Whether it remembers you.")


class NestBackend(ParrotBackend):
    """Three parts, each a file; those that are there stay."""

    title: ClassVar[str] = "A nest"
    settings_type: ClassVar[type[Settings]] = NestSettings
    settings: NestSettings

    async def plan(self, spec: TrainSpec | DeploySpec | None) -> list[Step]:
        if spec is not None:
            return await super().plan(spec)
        return [Step(name=part, state="reused" if self._is(part) else "planned") for part in PARTS]

    async def provision(self, report: Report) -> None:
        self.workdir.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            there = self._is(part)
            report(Step(name=part, state="running"))
            if part == self.settings.storm:
                report(Step(name=part, state="failed", detail="the wind"))
                raise BackendError(f"The wind took the {part}.", "phichat provision")
            (self.workdir / part).touch()
            report(Step(name=part, state="reused" if there else "done", detail="of the nest"))

    async def sign_in(self, report: Report) -> bool:
        if self.settings.storm:
            raise AuthError("Nobody came.", "phichat login")
        report(Status(state="preparing", detail="Open the window and whistle ABC123."))
        return self.settings.keyring

    def _is(self, part: str) -> bool:
        return (self.workdir / part).exists()


@hookimpl
def phichat_backend() -> type[AnyBackend]:
    return NestBackend
