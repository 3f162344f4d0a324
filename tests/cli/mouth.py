"""A parrot that others can ask: its access is that of a deployment that a test runs."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from phichat.backends.base import Access, AnyBackend, Deployment, Settings
from phichat.backends.hookspecs import hookimpl
from tests.cli.parrot import ParrotBackend, ParrotSettings
from tests.flows.upstream import KEY


class MouthSettings(ParrotSettings):
    url: str = Field(default="", description="Where it is asked.")


class MouthBackend(ParrotBackend):
    """Deploys as a parrot does."""

    title: ClassVar[str] = "A mouth"
    settings_type: ClassVar[type[Settings]] = MouthSettings

    async def access(self, deployment: Deployment) -> Access:
        assert isinstance(self.settings, MouthSettings)
        return Access(base_url=self.settings.url, key=KEY, model=deployment.id)


@hookimpl
def phichat_backend() -> type[AnyBackend]:
    return MouthBackend
