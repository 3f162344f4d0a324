"""The states of the screen Deploy, each reached the way a person reaches it."""

from __future__ import annotations

from collections.abc import Mapping

from textual.pilot import Pilot

from phichat.backends.base import Deployment, DeploymentState, Estimate, Report, Resource
from phichat.errors import UnavailableError
from phichat.events import Progress, Step
from phichat.screens.deploy.choosing import Choosing
from phichat.screens.deploy.screen import DeployScreen, Place
from tests.screens import schooling
from tests.screens.driving import chat, picture, until
from tests.screens.scripted import Script, ScriptedBackend
from tests.screens.states_train import opened, project


def deploy(pilot: Pilot[None]) -> DeployScreen:
    """The Deploy screen of a running application."""
    screen = pilot.app.screen
    assert isinstance(screen, DeployScreen)
    return screen


async def go(pilot: Pilot[None], place: Place = "list") -> None:
    """Go to Deploy, and wait until it shows what is wanted."""
    await pilot.press("alt+4")
    await until(pilot, lambda: isinstance(pilot.app.screen, DeployScreen))
    await until(pilot, lambda: deploy(pilot).place == place)


def serve(script: Script) -> None:
    """Two deployments are there, one of which has stopped."""
    script.deployed = [
        DeploymentState(deployment=Deployment(id="smollm2"), healthy=True, model="smollm2"),
        DeploymentState(
            deployment=Deployment(id="first"),
            healthy=False,
            model="first",
            detail="starts again with the next question",
        ),
    ]
    script.alive = [Resource(kind="server", name="smollm2", state="ready", usd_per_hour=0.45)]


async def listed(pilot: Pilot[None], script: Script) -> None:
    await opened(pilot, script)
    serve(script)
    await go(pilot)


async def choosing(pilot: Pilot[None], script: Script) -> None:
    await opened(pilot, script)
    serve(script)
    schooling.prepare(project(pilot))
    await schooling.history(project(pilot), script)
    await go(pilot)
    await pilot.press("n")


async def deploying(pilot: Pilot[None], script: Script) -> None:
    """The newest run is being deployed."""
    await choosing(pilot, script)
    script.loaded.clear()
    script.deploying.clear()
    await pilot.press("enter")
    await until(pilot, script.deploying.is_set)
    script.report(Step(name="model", state="reused", detail="third"))
    script.report(Step(name="server", state="running", detail="third on 127.0.0.1"))
    script.report(Progress(what="reading weights", done=120, total=272, unit="tensors"))
    await until(pilot, lambda: "120 of 272" in picture(pilot))


async def failed(pilot: Pilot[None], script: Script) -> None:
    await deploying(pilot, script)
    script.deploy_error = UnavailableError("The model's server ended before it was ready.", "phichat check")
    script.report(Step(name="server", state="failed", detail="third on 127.0.0.1"))
    script.loaded.set()
    await until(pilot, lambda: "phichat check" in picture(pilot))


class Sharing(ScriptedBackend):
    """A backend whose deployments share an endpoint."""

    async def set_traffic(self, endpoint: str, weights: Mapping[str, int], report: Report) -> None:
        self.script.deployed = [
            each.model_copy(update={"traffic": weights.get(each.deployment.id, 0)})
            for each in self.script.deployed
        ]

    async def remove(self, resource: Resource, report: Report) -> None:
        self.script.alive.remove(resource)
        self.script.deployed = [each for each in self.script.deployed if each.deployment.id != resource.name]


def keep(script: Script) -> None:
    """Two deployments share an endpoint; one of them is over its time; a third belongs to others."""
    blue = DeploymentState(
        deployment=Deployment(id="phichat-lighthouse-1a2b3c4d/blue-0123abcd"),
        healthy=True,
        traffic=90,
        model="blue",
        endpoint="phichat-lighthouse-1a2b3c4d",
        detail="Standard_E4s_v3",
    )
    green = {"deployment": Deployment(id="phichat-lighthouse-1a2b3c4d/green-89abcdef"), "model": "green"}
    script.deployed = [
        blue.model_copy(update={"until": 1_780_000_000.0, "previous": True}),
        blue.model_copy(update={**green, "traffic": 10}),
        DeploymentState(
            deployment=Deployment(id="support/llama-70b"),
            healthy=True,
            endpoint="support",
            foreign=True,
            detail="Standard_NC24ads_A100_v4",
        ),
    ]
    script.alive = [
        Resource(kind="deployment", name=each.deployment.id, state="ready", usd_per_hour=0.266)
        for each in script.deployed[:2]
    ]


async def shared(pilot: Pilot[None], script: Script) -> None:
    """The deployments of an endpoint, and one of others."""
    await opened(pilot, script)
    keep(script)
    # A backend of its own class: overriding a method is how one says that it can.
    backend = project(pilot).backend
    backend.__class__ = type("Shares", (Sharing,), {"script": script})
    await go(pilot)
    await until(pilot, lambda: "Roll back" in picture(pilot))
    await pilot.press("down")  # when its time was up is told by the clock of the place where one is


async def sharing(pilot: Pilot[None], script: Script) -> None:
    """How many of the requests one is to have."""
    await shared(pilot, script)
    await pilot.press("b")


async def ask_price(pilot: Pilot[None]) -> None:
    """Deploy the newest run, where that costs something: what it takes is asked."""

    async def estimate(spec: object) -> Estimate:
        source = (
            "Standard_E4s_v3, prices.azure.com, 2026-11-26; it answers with some 1.5 to 3.8 tokens a second"
        )
        return Estimate(usd=(0, 0), usd_per_hour=0.266, source=source)

    async def plan(spec: object) -> list[Step]:
        done = {"model": "third:1", "container": "phichat-serve:83cbb9717f5ba56e"}
        todo = {
            "endpoint": "phichat-lighthouse-1a2b3c4d",
            "deployment": "third-0123abcd on Standard_E4s_v3",
            "smoke test": "held-out questions",
            "traffic": "100 % to third-0123abcd",
        }
        reused = [Step(name=name, state="reused", detail=told) for name, told in done.items()]
        return [*reused, *(Step(name=name, state="planned", detail=told) for name, told in todo.items())]

    found = project(pilot)
    found.estimate = estimate  # type: ignore[method-assign]
    found.plan = plan  # type: ignore[method-assign]
    await pilot.press("enter")
    await until(pilot, lambda: "Go on?" in picture(pilot))


async def planned(pilot: Pilot[None], script: Script) -> None:
    """What deploying takes and costs is asked."""
    await choosing(pilot, script)
    await ask_price(pilot)


async def handing_over(pilot: Pilot[None], script: Script, *, gradual: bool = False) -> None:
    """It is asked where another deployment has the requests."""
    await shared(pilot, script)
    schooling.prepare(project(pilot))
    await schooling.history(project(pilot), script)
    config = project(pilot).serving._config
    project(pilot).serving._config = config.model_copy(
        update={"deploy": config.deploy.model_copy(update={"gradual": gradual})}
    )
    await pilot.press("ctrl+r")
    await until(pilot, lambda: len(deploy(pilot).query_one(Choosing).candidates) > 5)
    await pilot.press("n")
    await ask_price(pilot)


async def meanwhile(pilot: Pilot[None], script: Script) -> None:
    """A log is read while a model is being deployed."""
    await deploying(pilot, script)
    script.written = [f"INFO:     127.0.0.1:{50000 + n} - POST /v1/chat/completions 200" for n in range(40)]
    await pilot.press("down", "l")
    await until(pilot, lambda: "50039" in picture(pilot))


async def leaving(pilot: Pilot[None], script: Script, key: str = "ctrl+q", *, unknown: bool = False) -> None:
    """Somebody is about to leave while something costs."""
    await opened(pilot, script)
    script.alive = [
        Resource(kind="server", name="smollm2", state="ready"),
        Resource(
            kind="deployment",
            name="keeper/blue",
            state="ready",
            usd_per_hour=None if unknown else 0.46,
        ),
        Resource(kind="cluster", name="phichat-nc24ads", state="1 node", usd_per_hour=3.67),
    ]
    session = chat(pilot).session
    session.look_soon()
    await until(pilot, lambda: session.standing is not None and len(session.standing.costing) == 2)
    await pilot.press(key)
    await until(pilot, lambda: "When you leave" in picture(pilot))


STATES_DEPLOY = {
    "deploy-deploying": deploying,
    "deploy-failed": failed,
    "deploy-shared": shared,
    "deploy-sharing": sharing,
    "deploy-planned": planned,
    "deploy-handing-over": handing_over,
    "deploy-meanwhile": meanwhile,
    "leaving": leaving,
}
