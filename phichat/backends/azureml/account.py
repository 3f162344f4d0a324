"""One sign-in, one place and one project on Azure: checks, plan, provision and prices, for the backend."""

from __future__ import annotations

import asyncio
from pathlib import Path

from phichat import models
from phichat.backends.azureml.arm import Arm
from phichat.backends.azureml.credential import SignIn
from phichat.backends.azureml.prices import Price
from phichat.backends.azureml.settings import AzureMLSettings
from phichat.backends.base import Check, DeploySpec, Estimate, Report, TrainSpec
from phichat.errors import BackendError, ConfigError
from phichat.events import Step
from phichat.paths import user_folders


class Account:
    """What is the same whatever is trained or deployed; nothing is loaded or asked before it is needed."""

    def __init__(self, settings: AzureMLSettings, project: str) -> None:
        self.settings = settings
        self.project = project
        """What everything made is tagged with."""
        record = user_folders().data / "azure-sign-in.json"
        self.sign_in = SignIn(settings.tenant_id, record)
        self.arm = Arm(self.sign_in)
        self._prices: dict[str, Price | None] = {}

    async def check(self) -> list[Check]:
        """Whether everything is in place."""
        from phichat.backends.azureml.checks import checks

        return await checks(self.arm, self.settings)

    async def plan(self) -> list[Step]:
        """What `provision` would do; only looks."""
        steps: list[Step] = []
        await self._walk(lambda event: steps.append(event) if isinstance(event, Step) else None, dry=True)
        return steps

    async def provision(self, report: Report) -> None:
        """Make what is missing."""
        await self._walk(report, dry=False)

    async def with_code(self, report: Report) -> bool:
        """Let a person sign in at any browser; whether it is kept."""
        from phichat.backends.azureml.storage import stopping

        _installed()
        # Whoever does not wait any more ends the waiting: the process could not end before it.
        with self.arm.translated("sign in"), stopping() as stop:
            return await asyncio.to_thread(self.sign_in.with_code, report, stop)

    async def estimate(self, spec: TrainSpec | DeploySpec, base: str = "") -> Estimate:
        """What a training or a deployment would cost; asks nobody who you are.

        `base` is what the model of a deployment was trained from, where somebody knows.
        """
        from phichat.backends.azureml import machines, money
        from phichat.backends.workload import workload

        if isinstance(spec, DeploySpec):
            size = self.settings.serving_size(spec.size)
            base = base or (spec.model if isinstance(spec.model, str) else "")
            parameters = _parameters(base) if base else None
            other = machines.faster(size, parameters)
            instead = (other, await self.price(other)) if other else None
            return money.serving(size, 1, await self.price(size), parameters, instead)
        size, nodes = self.settings.train_size, self.settings.instance_count
        try:
            work = await asyncio.to_thread(workload, spec)
        except OSError as error:
            raise BackendError(
                f"The training rows cannot be read: {error.strerror}.", "phichat data"
            ) from error
        found = await self.price(size)
        weights = await asyncio.to_thread(_parameters, spec.base_model)
        return money.training(work, weights, size, nodes, found)

    async def price(self, size: str) -> Price | None:
        """What a machine costs an hour in the location, looked up once; None where nobody knows."""
        from phichat.backends.azureml.prices import price

        if size not in self._prices:
            self._prices[size] = await price(size, self.settings.location)
        return self._prices[size]

    def close(self) -> None:
        """Let go of connections."""
        self.arm.close()

    async def _walk(self, report: Report, *, dry: bool) -> None:
        from phichat.backends.azureml.provision import Provision

        _installed()
        await Provision(self.arm, self.settings, self.project, report, dry=dry).walk()


def project_of(workdir: Path) -> str:
    """The name of the project that a backend works in: its folder's, or phichat where there is none."""
    state = workdir.absolute().parent
    return state.parent.name if state.name == ".phichat" else "phichat"


def _parameters(base_model: str) -> float | None:
    from phichat.backends.workload import parameters_in

    try:
        found = models.resolve(base_model)
    except ConfigError:
        return None
    if found.entry:
        return found.entry.parameters
    return (parameters_in(found.folder) or None) if found.folder else None


def _installed() -> None:
    """See that the extra is installed.

    Raises:
        BackendError: it is not.
    """
    from phichat.backends.azureml.checks import packages

    found = packages()
    if not found.ok:
        raise BackendError(f"The packages for Azure are not installed ({found.detail}).", found.fix)
