"""What every standard test stands on: the author's attributes, and what the tests share."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from phichat.backends.base import AnyBackend, Dataset, Deployment, DeploySpec, Job, TrainSpec
from phichat.backends.registry import Registry
from phichat.events import Event
from phichat.testing.calls import Calls
from phichat.testing.data import write_dataset

T = TypeVar("T")
ELSEWHERE = Path(__file__).with_name("elsewhere.py")


@dataclass
class Bench:
    """What the tests of one class share, and what must be removed behind them."""

    folder: Path
    suffix: str = field(default_factory=lambda: secrets.token_hex(3))
    """Makes names that no earlier run has used: a cloud remembers."""
    jobs: list[Job] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    _outcomes: dict[str, Any] = field(default_factory=dict)

    async def once(self, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` gave when it was first called, be it an exception."""
        name = make.__name__
        if name not in self._outcomes:
            try:
                self._outcomes[name] = await make()
            except Exception as error:
                self._outcomes[name] = error
        outcome = self._outcomes[name]
        if isinstance(outcome, Exception):
            raise outcome
        result: T = outcome
        return result


@dataclass(frozen=True)
class Trained:
    """The job that the tests share, with its events as they came."""

    job: Job
    events: list[Event]


@dataclass(frozen=True)
class Deployed:
    """The deployment that the tests share, with what was reported while it was made."""

    deployment: Deployment
    events: list[Event]


class Harness(Calls):
    """The attributes that a backend's author sets, and the tools of the standard tests."""

    backend_name: ClassVar[str]
    """The entry point's name."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """What `[backends.<name>]` of phichat.toml would say; JSON values only."""
    base_model: ClassVar[str] = ""
    """What training starts from."""
    hyperparameters: ClassVar[Mapping[str, bool | int | float | str | None]] = {}
    """What makes training quick."""
    skips: ClassVar[Mapping[str, str]] = {}
    """The standard tests that this backend leaves out, each with the reason."""
    bench: ClassVar[Bench]

    def dataset(self, folder: Path) -> Dataset:
        """What the suite trains on: chat JSONL written into `folder`."""
        return write_dataset(folder)

    async def model(self) -> Job | str:
        """What the suite deploys: the job that it trained, unless the author says otherwise."""
        return (await self.trained()).job

    @pytest.fixture(autouse=True)
    def _prepare(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls = type(self)
        reason = cls.skips.get(request.function.__name__, "").strip()
        if reason:
            pytest.skip(reason)
        if "bench" not in vars(cls):
            cls.bench = Bench(tmp_path_factory.mktemp("conformance"))

    @classmethod
    def teardown_class(cls) -> None:
        """Remove what the tests made, as far as the backend lets them."""
        if "bench" in vars(cls):
            asyncio.run(cls()._clean_up())

    async def _clean_up(self) -> None:
        with suppress(Exception):
            async with self.opened() as backend:
                for job in self.bench.jobs:
                    with suppress(Exception):
                        await backend.cancel(job)
                for deployment in self.bench.deployments:
                    with suppress(Exception):
                        await backend.delete(deployment)
                # A deploy() that failed half-way may have left something that nobody was given.
                for state in await backend.deployments():
                    if self.bench.suffix in state.deployment.id:
                        await backend.delete(state.deployment)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AnyBackend]:
        """A new instance, as a new process would make it."""
        backend = Registry().open(self.backend_name, self.settings, self.workdir)
        try:
            yield backend
        finally:
            await backend.aclose()

    @property
    def workdir(self) -> Path:
        """The backend's folder; nobody but the backend makes it."""
        return self.bench.folder / "backend"

    def named(self, label: str) -> str:
        """A name for a job or a deployment of this run."""
        return f"{label}-{self.bench.suffix}"

    def train_spec(self, label: str, dataset: Dataset | None = None) -> TrainSpec:
        """A job to train on the suite's data."""
        return TrainSpec(
            name=self.named(label),
            dataset=dataset or self.dataset(self.bench.folder / "data"),
            base_model=self.base_model,
            hyperparameters=dict(self.hyperparameters),
        )

    async def submit(self, backend: AnyBackend, spec: TrainSpec) -> Job:
        """Submit a job; it is cancelled at the end of the run if it is still at work."""
        __tracebackhide__ = True
        job = await self.call(backend.submit, spec, ignore)
        self.bench.jobs.append(job)
        return job

    async def deploy(self, backend: AnyBackend, label: str, events: list[Event] | None = None) -> Deployment:
        """Deploy the suite's model; it is deleted at the end of the run."""
        __tracebackhide__ = True
        spec = DeploySpec(name=self.named(label), model=await self.model())
        report = ignore if events is None else events.append
        deployment = await self.call(backend.deploy, spec, report)
        self.bench.deployments.append(deployment)
        return deployment

    async def trained(self) -> Trained:
        """The shared job, trained on the first call and watched to its end."""
        __tracebackhide__ = True
        return await self.bench.once(self._train)

    async def deployed(self) -> Deployed:
        """The shared deployment, made on the first call."""
        __tracebackhide__ = True
        return await self.bench.once(self._deploy)

    async def _train(self) -> Trained:
        async with self.opened() as backend:
            job = await self.submit(backend, self.train_spec("trained"))
            return Trained(job, await self.collect(backend.watch, job))

    async def _deploy(self) -> Deployed:
        async with self.opened() as backend:
            events: list[Event] = []
            return Deployed(await self.deploy(backend, "shared", events), events)

    def needs(self, backend: AnyBackend, method: str) -> None:
        """Leave the test out where the backend does without an optional method."""
        if not backend.supports(method):
            pytest.skip(f"{self.backend_name} does without {method}()")

    async def in_a_new_process(self, **request: Any) -> str:
        """What `elsewhere.py` prints when it opens the same backend in a process of its own."""
        __tracebackhide__ = True
        request |= {
            "backend": self.backend_name,
            "settings": dict(self.settings),
            "workdir": str(self.workdir),
        }
        code, output, errors = await run_python([str(ELSEWHERE)], json.dumps(request), self.train_seconds)
        if code:
            last = errors.strip().splitlines()[-1:] or ["no message"]
            raise AssertionError(
                f"A new process with the same settings and workdir ended with {last[0]}: keep what has to be "
                "remembered in workdir, not in memory."
            )
        return output


async def run_python(arguments: list[str], given: str, seconds: float) -> tuple[int, str, str]:
    """Run this Python with the same import path; returns exit code, stdout and stderr."""
    # -P: the folder of a script is not to stand on the import path.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8"},
    )
    try:
        async with asyncio.timeout(seconds):
            output, errors = await process.communicate(given.encode())
    except TimeoutError as error:
        raise AssertionError(
            f"A new process that does the same did not end within {seconds:g} s: find out what it waits for."
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def ignore(event: Event) -> None:
    """A report that nobody reads."""
