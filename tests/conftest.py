"""Fixtures that every test shares: no home folder, no network, one real model and one tiny one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from phichat.flowrunner import Environment

# Before torch is imported anywhere: two spinning threads on two busy cores are slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"
"""Weights and Prompt flow, fetched once; the only thing that outlives a test run."""
Children = Callable[[], set[psutil.Process]]
LONG = (
    "screens/test_looks.py",
    "screens/test_train.py",
    "test_house.py",
    "cli/test_flow.py",
    "trainer/test_train_run.py",
    "trainer/test_serve.py",
    "backends/test_local.py",
    "azure/test_training.py",
    "plugins/test_application.py",
    "cli/test_train_real.py",
    "cli/test_conversation.py",
    "cli/test_real.py",
    "trainer/test_train_failures.py",
    "trainer/test_train_resume.py",
    "trainer/test_train_distributed.py",
    "history/test_moving.py",
    "history/test_cosmos_kill.py",
    "flows/test_environment.py",
    "azure/test_killed.py",
)
"""The files that take longest. They are begun first, so that no processor waits for one in the end."""


def pytest_configure(config: pytest.Config) -> None:
    """Where several processes share the tests, let the order be ours, not by how many a file has."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin what takes longest first."""
    first = {ROOT / "tests" / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: first.get(item.path, len(LONG)))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folders, empty, and nothing of the developer's own configuration."""
    folder = tmp_path / "home"
    for name in list(os.environ):
        if name.startswith("PHICHAT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "xdg"))
    monkeypatch.setenv("PHICHAT_HOME", str(folder / "phichat"))
    monkeypatch.setenv("PHICHAT_CACHE", str(CACHE))
    return folder


@pytest.fixture
def children() -> Children:
    """The processes that a test has started itself: what others keep for this worker is left alone."""
    before = set(psutil.Process().children(recursive=True))
    return lambda: set(psutil.Process().children(recursive=True)) - before


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The real SmolLM2, fetched and converted by the first test run that asks for it."""
    from phichat import models

    return asyncio.run(models.pull(models.resolve("smollm2"), CACHE, lambda event: None))


@pytest.fixture(scope="session")
def environment() -> Environment:
    """Prompt flow's own environment; the first test run that asks for it makes it, as a person would."""
    from phichat.flowrunner import Environment

    made = Environment(CACHE)
    asyncio.run(made.setup(lambda event: None))
    return made


@pytest.fixture(scope="session")
def tiny_phi3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Phi-3 with random weights and the real chat template."""
    from tests import tiny

    return tiny.build(tmp_path_factory.mktemp("models") / "tiny-phi3")
