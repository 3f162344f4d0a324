"""Azure keeps the promises of every backend: a stand-in really trains, and really runs containers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from phichat.backends.azureml import arm
from phichat.testing import BackendConformance
from tests.azure.standin.cloud import SUBSCRIPTION, opened


@pytest.mark.timeout(300)
class TestAzureML(BackendConformance):
    backend_name = "azureml"
    settings: ClassVar = {"subscription_id": SUBSCRIPTION}
    hyperparameters: ClassVar = {
        "max_steps": 2,
        "batch_size": 2,
        "max_length": 64,
        "packing": False,
        "keep_best": False,
        "evaluate": False,
        "device": "cpu",
    }
    check_seconds = 60
    train_seconds = 120
    deploy_seconds = 120

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _cloud(cls, tiny_phi3: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        async def pause(seconds: float) -> None:
            await asyncio.sleep(0.01)

        cls.base_model = str(tiny_phi3)
        with (
            opened(tmp_path_factory.mktemp("azure")) as (cloud, environment),
            pytest.MonkeyPatch.context() as patch,
        ):
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(arm, "pause", pause)
            cloud.workspaces.make("phichat", "phichat")
            yield
        assert not cloud.unknown, cloud.unknown[0]
