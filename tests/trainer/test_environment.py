"""How the libraries are told to behave before they are loaded."""

from __future__ import annotations

import os

import pytest

import environment


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "0"),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, "2"),
        ({"CUDA_VISIBLE_DEVICES": ""}, ""),
        ({"WORLD_SIZE": "2", "CUDA_VISIBLE_DEVICES": "2,3"}, "2,3"),
        ({"WORLD_SIZE": "2"}, None),
    ],
)
def test_a_process_by_itself_takes_one_gpu(
    before: dict[str, str], after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(before))
    environment.prepare(None)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == after


def test_what_a_person_has_set_stays_and_threads_are_what_the_settings_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "8"})
    environment.prepare(2)
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "2"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
