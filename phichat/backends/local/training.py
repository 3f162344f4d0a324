"""The jobs of this machine: the trainer as a detached process, and the models that it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from phichat import models
from phichat.backends.absent import no_model
from phichat.backends.base import Dataset, Estimate, EvalSpec, Job, Report, Resource, TrainSpec
from phichat.backends.local import fetching
from phichat.backends.local.forecast import forecast, gpu_free, lacking, on_gpu, speeds
from phichat.backends.local.settings import LocalSettings
from phichat.backends.locks import locked
from phichat.backends.process import ProcessJobs
from phichat.backends.workload import parameters_in, workload
from phichat.errors import BackendError, ConfigError, NotFoundError
from phichat.events import Step
from phichat.paths import bundled, write_atomic

FACTS = "phichat.json"
"""What the trainer writes into every model that it makes."""


class Training:
    """Jobs by name. What a job makes is in `output` in its folder, and stays there."""

    def __init__(self, settings: LocalSettings, workdir: Path, cache: Path) -> None:
        self.jobs = ProcessJobs(workdir / "jobs")
        self._settings = settings
        self._cache = cache
        self._ledger = f"sqlite:///{workdir / 'mlflow.db'}"

    async def submit(self, spec: TrainSpec | EvalSpec, report: Report) -> Job:
        """Start the job, or find it; one that failed goes on from its last complete checkpoint.

        Raises:
            NotFoundError: the model or a file of the dataset is not there.
        """
        if not self._done_or_running(spec.name):
            _look_at(spec.dataset)
            command = await (
                self._train(spec, report) if isinstance(spec, TrainSpec) else self._evaluate(spec)
            )
            report(Step(name="job", state="running", detail=spec.name))
            await asyncio.to_thread(self.jobs.start, spec.name, command)
            report(Step(name="job", state="done", detail=spec.name))
        else:
            report(Step(name="job", state="reused", detail=spec.name))
        return Job(id=spec.name, url=self._output(spec.name).as_uri())

    def estimate(self, spec: TrainSpec) -> Estimate:
        """How long a training takes on this machine, and how much memory; money it costs none.

        Raises:
            NotFoundError: the base model or the training file is not there.
        """
        _look_at(spec.dataset)
        ref, work = _resolved(spec.base_model), workload(spec)
        folder = models.cached(ref, self._cache)
        like = {
            "base_model": str(folder),
            "method": work.method,
            "packing": spec.hyperparameters.get("packing"),
        }
        known = speeds(self.jobs.directory, like) if folder else ()
        size = _parameters(ref, folder)
        gpu = on_gpu(self._settings.device)
        free = gpu_free() if gpu else None
        estimate = forecast(work, size, self._settings.threads, known, gpu, free)
        refusal = lacking(work.method, self._settings.device)
        told = {
            "download_bytes": 0 if folder else models.download_size(ref),
            "refusal": refusal,
            "hint": "phichat train --method lora" if refusal else "",
        }
        return estimate.model_copy(update=told)

    def job_step(self, name: str) -> Step:
        """Whether `submit` would start a job of that name."""
        return Step(name="job", state="reused" if self._done_or_running(name) else "planned", detail=name)

    def model(self, name: str) -> Path:
        """The folder of the model that a job has made.

        Raises:
            NotFoundError: there is no such job, or it has not finished.
        """
        self.jobs.command(name)
        folder = self._output(name) / "model"
        if not folder.is_dir():
            raise no_model(name, self.jobs.status(name).state)
        return folder

    async def fetch(self, name: str, directory: Path, report: Report) -> Path:
        """Copy the model that a job has made; what stands there is replaced when the copy is whole."""
        model = self.model(name)
        report(Step(name="fetch", state="running", detail=str(directory)))
        if await asyncio.to_thread(_holds_something_else, directory):
            raise BackendError(
                f"{directory} is not empty, and is no model of phichat's.", "Name another folder."
            )
        try:
            # One at a time: two copies of one model share a place until they are whole.
            async with locked(self.jobs.place(name) / "fetch.lock"):
                await fetching.put(model, directory, name)
        except OSError as error:
            told = f"The model cannot be copied to {directory}: {fetching.reason(error)}."
            raise BackendError(told) from error
        report(Step(name="fetch", state="done", detail=str(directory)))
        return directory

    def resources(self) -> list[Resource]:
        """The jobs that are running."""
        running = [name for name in self.jobs.names() if not self.jobs.status(name).finished]
        return [Resource(kind="job", name=name, state="running") for name in running]

    def _done_or_running(self, name: str) -> bool:
        with contextlib.suppress(NotFoundError):
            return self.jobs.status(name).state in ("running", "succeeded")
        return False

    async def _train(self, spec: TrainSpec, report: Report) -> list[str]:
        # Whoever has told MLflow where runs belong looks for them there.
        ledger = "" if os.environ.get("MLFLOW_TRACKING_URI") else self._ledger
        chosen = {"mlflow_tracking_uri": ledger, **self._placed(), **spec.hyperparameters}
        ref = _resolved(spec.base_model)
        chosen["base_model"] = str(await self._base(ref, report))
        chosen["revision"] = ref.revision or None
        chosen["run_name"] = spec.name
        chosen["data_fingerprint"] = spec.dataset.fingerprint
        data = ["--train-file", str(spec.dataset.train_file.absolute())]
        if spec.dataset.eval_file:
            data += ["--eval-file", str(spec.dataset.eval_file.absolute())]
        return [*self._command("train.py", spec.name, chosen), *data]

    async def _evaluate(self, spec: EvalSpec) -> list[str]:
        model = (
            self.model(spec.model.id) if isinstance(spec.model, Job) else models.resolve(spec.model).folder
        )
        if model is None or spec.dataset.eval_file is None:
            raise NotFoundError("An evaluation needs a trained model and held-out rows.", "phichat train")
        data = ["--model", str(model), "--data", str(spec.dataset.eval_file.absolute())]
        return [*self._command("evaluate.py", spec.name, {**self._placed(), **spec.settings}), *data]

    def _command(self, script: str, name: str, chosen: Mapping[str, object]) -> list[str]:
        config = self.jobs.place(name) / "config.json"
        write_atomic(config, json.dumps(chosen, indent=2, ensure_ascii=False))
        command = [sys.executable, str(bundled("trainer") / script), "--config", str(config)]
        return [*command, "--output-dir", str(self._output(name))]

    def _placed(self) -> dict[str, object]:
        threads = self._settings.threads
        return {"device": self._settings.device, **({"threads": threads} if threads else {})}

    async def _base(self, ref: models.ModelRef, report: Report) -> Path:
        report(Step(name="model", state="running", detail=ref.name))
        path = await models.pull(ref, self._cache, report)
        report(Step(name="model", state="done", detail=ref.name))
        return path

    def _output(self, name: str) -> Path:
        return (self.jobs.place(name) / "output").absolute()


def _look_at(dataset: Dataset) -> None:
    for file in (dataset.train_file, dataset.eval_file):
        if file is not None and not file.is_file():
            raise NotFoundError(f"The dataset's file {file} is not there.", "phichat data")


def _resolved(name: str) -> models.ModelRef:
    try:
        return models.resolve(name)
    except ConfigError as error:
        raise NotFoundError(error.message, error.hint) from error


def _parameters(ref: models.ModelRef, folder: Path | None) -> float | None:
    if ref.entry:
        return ref.entry.parameters
    return parameters_in(folder) if folder else None


def _holds_something_else(directory: Path) -> bool:
    """Whether replacing a folder would lose what is not ours."""
    return directory.is_dir() and any(directory.iterdir()) and not (directory / FACTS).is_file()
