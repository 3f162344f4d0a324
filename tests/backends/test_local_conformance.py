"""This machine keeps the promises of every backend, training and serving a tiny Phi-3."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from phichat.testing import BackendConformance


@pytest.mark.timeout(300)
class TestLocal(BackendConformance):
    backend_name = "local"
    settings: ClassVar = {"device": "cpu", "threads": 1}
    hyperparameters: ClassVar = {
        "max_steps": 2,
        "batch_size": 2,
        "max_length": 64,
        "packing": False,
        "keep_best": False,
        "evaluate": False,
        "mlflow_tracking_uri": "",
    }
    # Loading torch takes 5 s, but not on a machine that runs other tests too.
    train_seconds = 120
    deploy_seconds = 120
    chat_seconds = 60
    abandon_seconds = 10

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _base_model(cls, tiny_phi3: Path) -> None:
        cls.base_model = str(tiny_phi3)
