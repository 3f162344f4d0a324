"""What a job needs, each found or made: a plan only looks, a submit makes what is missing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from phichat.backends.azureml import assets, compute, environment
from phichat.errors import BackendError
from phichat.events import Step

if TYPE_CHECKING:
    from phichat.backends.azureml.assets import Asset
    from phichat.backends.azureml.command import Inputs
    from phichat.backends.azureml.workspace import Workspace
    from phichat.backends.base import Report


class Need(NamedTuple):
    """Something that a job needs, and that may be there already."""

    step: str
    detail: str
    there: Callable[[], Awaitable[bool]]
    make: Callable[[Report], Awaitable[None]]


def of(workspace: Workspace, inputs: Inputs, *, wait: bool) -> list[Need]:
    """Everything that a job needs, in the order of making; `wait`: what is being made is waited for."""
    settings = workspace.account.settings
    env = environment.environment_for(settings.train_size)
    found = [
        Need(
            "environment",
            env.label,
            lambda: environment.there(workspace, env),
            lambda _: environment.make(workspace, env),
        ),
        Need(
            "cluster",
            compute.name_of(settings),
            lambda: compute.there(workspace, wait=wait),
            lambda _: compute.make(workspace),
        ),
    ]
    for asset in (inputs.code, inputs.data, inputs.base.asset):
        if asset is not None:
            found.append(_asset(workspace, asset))
    if inputs.base.asset is None and not inputs.base.repo:
        # Nobody knows the hash of weights that are not here yet.
        found.append(Need("base model", inputs.base.title, _never, _nothing))
    return found


async def planned(need: Need) -> Step:
    """What would be done; only looks."""
    return Step(name=need.step, state="reused" if await need.there() else "planned", detail=need.detail)


async def ensure(need: Need, report: Report) -> None:
    """Have it: what is there is used, what is missing is made."""

    def tell(state: str, detail: str = need.detail) -> None:
        report(Step.model_validate({"name": need.step, "state": state, "detail": detail}))

    tell("running")
    try:
        if await need.there():
            tell("reused")
            return
        await need.make(report)
    except BackendError as error:
        tell("failed", error.message)
        raise
    tell("done")


def _asset(workspace: Workspace, asset: Asset) -> Need:
    return Need(
        asset.step,
        asset.label,
        lambda: assets.there(workspace, asset),
        lambda report: assets.make(workspace, asset, report),
    )


async def _never() -> bool:
    return False


async def _nothing(report: Report) -> None:
    """Only planned: by the time that it is made, its hash is known."""
