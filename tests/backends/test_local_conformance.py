"""This machine keeps the promises of every backend, training and serving the real SmolLM2."""

from __future__ import annotations

from typing import ClassVar

import pytest

from phichat.testing import BackendConformance


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("smollm2")
class TestLocal(BackendConformance):
    backend_name = "local"
    settings: ClassVar = {"threads": 1}
    base_model = "smollm2"
    hyperparameters: ClassVar = {
        "max_steps": 1,
        "batch_size": 1,
        "max_length": 64,
        "packing": False,
        "keep_best": False,
        "evaluate": False,
    }
    # Loading torch takes 5 s, but not on a machine that runs other tests too.
    train_seconds = 120
    deploy_seconds = 120
    chat_seconds = 60
    abandon_seconds = 10
