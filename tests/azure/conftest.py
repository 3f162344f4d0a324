"""What the tests of Azure share: a cloud for each module, and the environment that leads to it."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from phichat.backends.azureml import arm, storage
from phichat.backends.azureml.backend import AzureMLBackend
from phichat.backends.base import Job
from tests.azure.places import Lab, lab_of
from tests.azure.serving import play_containers, trained
from tests.azure.standin.cloud import Cloud, opened
from tests.azure.training import small_trainer


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The stand-in, reached by nothing but environment variables; what it did not know fails the module."""
    with warnings.catch_warnings():
        # The SDK is written for an older marshmallow, and says so when it is imported.
        warnings.simplefilter("ignore")
        import azure.ai.ml  # noqa: F401
    with (
        opened(tmp_path_factory.mktemp("azure")) as (cloud, environment),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        yield cloud
        assert not cloud.unknown, cloud.unknown[0]


@pytest.fixture
def cloud(azure: Cloud) -> Iterator[Cloud]:
    """The stand-in as it is now, with nothing recorded and nothing going wrong."""
    azure.forget()
    yield azure
    assert not azure.unknown, azure.unknown[0]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The stand-in with a subscription in which nothing was made yet, for one test."""
    with opened(tmp_path / "azure") as (cloud, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield cloud
        assert not cloud.unknown, cloud.unknown[0]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for Azure here."""

    async def pause(seconds: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(arm, "pause", pause)
    monkeypatch.setattr(storage, "BACKOFF_S", 0)
    monkeypatch.setattr(storage, "GROWTH", 0)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Opens the backend of a project, as often as a test likes."""
    opened: list[AzureMLBackend] = []

    def lab(**settings: Any) -> AzureMLBackend:
        opened.append(lab_of(tmp_path, **settings))
        return opened[-1]

    yield lab
    for each in opened:
        await each.aclose()


@pytest.fixture
async def backend(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AzureMLBackend]:
    """A project in an empty workspace, whose containers are only played."""
    trainer = small_trainer(tmp_path / "trainer", monkeypatch)
    (trainer / "Dockerfile").write_text('CMD ["python"]\n', encoding="utf-8")
    play_containers(monkeypatch)
    cloud.empty()
    cloud.workspaces.make("phichat", "phichat")
    opened = lab_of(tmp_path)
    yield opened
    await opened.aclose()


@pytest.fixture
async def job(cloud: Cloud, backend: AzureMLBackend, tmp_path: Path, tiny_phi3: Path) -> Job:
    """A job of that project that has made a model."""
    found = await trained(cloud, backend, tmp_path, tiny_phi3)
    cloud.forget()
    return found


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyring of the operating system: a file stands for it here."""
    import msal_extensions  # type: ignore[import-untyped]

    def kept(path: str, *names: object, **more: object) -> Any:
        return msal_extensions.FilePersistence(path)

    for each in ("LibsecretPersistence", "KeychainPersistence", "FilePersistenceWithDataProtection"):
        monkeypatch.setattr(msal_extensions, each, kept)
