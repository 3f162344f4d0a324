"""On Azure a job finds a run of MLflow that was begun for it: it writes there, and leaves it open."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobevents import Events
from settings import TrainSettings
from tracking import Tracking


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what MLflow does with its database
def test_the_run_of_the_workspace_gets_parameters_and_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/workspace.db"
    client = MlflowClient(tracking_uri=uri)
    begun = client.create_run(client.create_experiment("lab", artifact_location=tmp_path.as_uri())).info
    # What Azure tells the processes of a job.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_RUN_ID", begun.run_id)
    settings = TrainSettings(base_model="phi", method="full")
    tracking = Tracking.of(settings, Events(None), speaking=True)
    with tracking.run(settings, tmp_path / "mlflow.json"):
        tracking.metrics(1, {"loss": 2.5})
    found = client.get_run(begun.run_id)
    assert found.info.status == "RUNNING", "whoever began it ends it"
    assert found.data.metrics == {"loss": 2.5}
    assert found.data.params["method"] == "full"
    silent = Tracking.of(settings, Events(None), speaking=False)
    with silent.run(settings, tmp_path / "other.json"):
        silent.metrics(2, {"loss": 9.0})
    assert client.get_run(begun.run_id).data.metrics == {"loss": 2.5}, "one process of several speaks"
