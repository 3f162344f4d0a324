"""Runs in MLflow: parameters, metrics and the model, locally or on a server. No failure of it costs a run."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import mlflow_model
from failures import Cancelled, first_line
from files import read_json, write_json
from jobevents import Events
from settings import TrainSettings

FLUSH_SECONDS = 5.0
"""Metrics are sent together: one call costs as much for a hundred as for one."""
LIMITS = {"params": 200, "characters": 500}
"""Azure Machine Learning refuses more parameters in a run, and longer values."""


class Tracking:
    """One run of an MLflow server or database; after the first failure, nothing more is sent."""

    def __init__(self, uri: str, events: Events) -> None:
        self._uri = uri
        self._events = events
        self._client: Any = None
        self._run = ""
        self._experiment = ""
        self._unsent: list[Any] = []
        self._sent = 0.0
        self._given = bool(os.environ.get("MLFLOW_RUN_ID"))
        """Whether the run belongs to who started this process, as on Azure: who began it ends it."""

    @classmethod
    def of(cls, settings: TrainSettings, events: Events, speaking: bool) -> Tracking:
        """Where the settings or the environment say; nowhere in all but the first of several processes."""
        uri = settings.mlflow_tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
        return cls(uri if speaking else "", events)

    @contextlib.contextmanager
    def run(self, settings: TrainSettings, memory: Path) -> Iterator[None]:
        """A run of MLflow, new or the one that `memory` names, that ends as what is done in it ends."""
        if self._uri:
            self._try(lambda: self._start(settings, memory))
        try:
            yield
        except BaseException as error:
            self._end("KILLED" if isinstance(error, Cancelled) else "FAILED")
            raise
        self._end("FINISHED")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Keep metrics of a step; they are sent every few seconds."""
        if self._client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._unsent += [Metric(name, value, now, step) for name, value in values.items()]
        if time.monotonic() - self._sent > FLUSH_SECONDS:
            self._flush()

    def model(self, folder: Path) -> None:
        """Register the model with the run: its signature and where it lies. Only in a store on this machine.

        The weights are not copied, and no remote registry is asked: Azure answers 404.
        """
        if self._client is not None and self._uri.startswith("sqlite:"):
            self._try(lambda: self._model(folder))

    def _end(self, status: str) -> None:
        if self._client is not None:
            self._flush()
        if self._client is not None and not self._given:
            self._try(lambda: self._client.set_terminated(self._run, status))

    def _start(self, settings: TrainSettings, memory: Path) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._client = client = MlflowClient(tracking_uri=self._uri)
        self._run = self._found(memory) or self._made(settings)
        self._experiment = client.get_run(self._run).info.experiment_id
        write_json(memory, {"uri": self._uri, "run": self._run})
        if not self._given:
            client.update_run(self._run, status="RUNNING")
        params = list(flat(settings).items())[: LIMITS["params"]]
        client.log_batch(self._run, params=[Param(name, value) for name, value in params])

    def _found(self, memory: Path) -> str:
        """The run to go on with, or nothing."""
        if self._given:
            return os.environ["MLFLOW_RUN_ID"]
        known = read_json(memory)
        return str(known["run"]) if known.get("uri") == self._uri else ""

    def _made(self, settings: TrainSettings) -> str:
        name = settings.mlflow_experiment
        experiment = self._client.get_experiment_by_name(name)
        identity = experiment.experiment_id if experiment else None
        if identity is None:
            identity = self._client.create_experiment(name, artifact_location=_beside(self._uri))
        run = self._client.create_run(identity, run_name=settings.run_name or None)
        return str(run.info.run_id)

    def _model(self, folder: Path) -> None:
        client = self._client
        model = client.create_logged_model(
            self._experiment, name="model", source_run_id=self._run, tags={"folder": str(folder)}
        )
        with tempfile.TemporaryDirectory() as directory:
            mlflow_model.refer(Path(directory), folder)
            client.log_model_artifacts(model.model_id, directory)
        client.finalize_logged_model(model.model_id, "READY")
        self._events.artifact("mlflow model", f"models:/{model.model_id}")

    def _flush(self) -> None:
        metrics, self._unsent, self._sent = self._unsent, [], time.monotonic()
        for start in range(0, len(metrics), 1000):
            batch = metrics[start : start + 1000]
            self._try(partial(self._client.log_batch, self._run, metrics=batch))

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # whatever it is: the run goes on
            self._client = None
            self._events.log(
                f"MLflow at {self._uri} failed and is left out from here on: {first_line(error)}"
            )


def flat(settings: TrainSettings) -> dict[str, str]:
    """The settings as MLflow's parameters: one text each, and nothing that was left open."""
    values = {name: value for name, value in settings.as_json().items() if value not in (None, "", [])}
    values.pop("probes", None)
    return {name: str(value)[: LIMITS["characters"]] for name, value in values.items()}


def _beside(uri: str) -> str | None:
    """The folder for artifacts beside a database; MLflow's own choice is the current folder."""
    if not uri.startswith("sqlite:"):
        return None
    return (Path(uri.partition("///")[2]).absolute().parent / "mlartifacts").as_uri()
