"""The states of what a place elsewhere needs: signing in, making it ready, and the checks that lead there."""

from __future__ import annotations

import time

from textual.pilot import Pilot

from phichat.backends.base import Check, Estimate, Resource
from phichat.errors import QuotaError
from phichat.events import Step
from phichat.screens.configure.checklist import CheckList
from tests.screens import schooling, states_train
from tests.screens.driving import picture, until
from tests.screens.scripted import Script
from tests.screens.states_configure import configure, configuring

PAGE = "https://portal.azure.com/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas"
FAMILY = "Standard NCADSA100v4 Family Cluster Dedicated vCPUs"
NUMBERS = f"Machine Learning, eastus2, {FAMILY}, new limit 24"
CHECKS = [
    Check(name="packages", ok=True, detail="azure-ai-ml, azure-identity"),
    Check(name="names", ok=True, detail="Azure takes them all"),
    Check(name="sign-in", ok=False, detail="The sign-in to Azure has expired.", fix="phichat login"),
    Check(name="workspace", ok=False, detail="phichat is not there yet", fix="phichat provision"),
    Check(
        name="quota",
        ok=False,
        detail=f"{FAMILY}: 24 needed, 0 of 0 free",
        fix=f"phichat provision, which asks for it; or ask at {PAGE} ({NUMBERS})",
    ),
]
PLAN = [
    Step(name="services of the subscription", state="reused", detail="all registered"),
    Step(name="resource group", state="reused", detail="phichat"),
    Step(name="storage account", state="planned", detail="phichatst4f1d, by the GB that lies there"),
    Step(name="key vault", state="planned", detail="phichatkv4f1d, by the request"),
    Step(name="container registry", state="planned", detail="phichatcr4f1d, US$0.17 a day"),
    Step(name="workspace", state="planned", detail="phichat"),
    Step(name="identity", state="planned", detail="phichat"),
    Step(name="role AcrPull", state="planned", detail="for the identity phichat"),
    Step(
        name=f"quota {FAMILY}",
        state="planned",
        detail="ask for a limit of 24 vCPUs (24 needed, 0 of 0 free)",
    ),
]
REFUSED = QuotaError(
    "All is ready except the quota: Azure does not grant it automatically.",
    f"Ask for it at {PAGE} ({NUMBERS})",
)


async def needing(pilot: Pilot[None], script: Script) -> None:
    """What has to be mended is known."""
    script.place, script.checks = PLAN, CHECKS
    await configuring(pilot, script)
    await pilot.press("f5")
    await until(pilot, lambda: isinstance(configure(pilot).focused, CheckList))
    await pilot.press("end")
    await until(pilot, lambda: "o: Open the page" in picture(pilot))


async def signing_in(pilot: Pilot[None], script: Script) -> None:
    script.place = PLAN
    await configuring(pilot, script)
    await pilot.press("f6")
    await until(pilot, lambda: "A B C D 1 2 3 4 E" in picture(pilot))


async def planned(pilot: Pilot[None], script: Script) -> None:
    script.place = PLAN
    await configuring(pilot, script)
    await pilot.press("f7")
    await until(pilot, lambda: "vCPUs" in picture(pilot))


async def making(pilot: Pilot[None], script: Script) -> None:
    """Some of it is made."""
    await planned(pilot, script)
    await pilot.press("y")
    for step in PLAN[:4]:
        script.making.put_nowait(
            step if step.state == "reused" else step.model_copy(update={"state": "done"})
        )
    script.making.put_nowait(Step(name="container registry", state="running"))
    await until(pilot, lambda: "◐" in picture(pilot))


async def refused(pilot: Pilot[None], script: Script) -> None:
    """All but the quota is made."""
    await making(pilot, script)
    for step in PLAN[4:8]:
        script.making.put_nowait(step.model_copy(update={"state": "done"}))
    script.making.put_nowait(Step(name=PLAN[8].name, state="failed", detail="Azure has refused it"))
    script.making.put_nowait(REFUSED)
    await until(pilot, lambda: "All is ready except the quota" in picture(pilot))


ROOM = Check(name="quota", ok=True, detail=f"{FAMILY}: 24 needed, 24 of 24 free")
PRICE = Estimate(
    seconds=(780, 5300),
    usd=(0.92, 6.02),
    usd_rate=3.67,
    source="Standard_NC24ads_A100_v4, prices.azure.com, 2026-11-26",
)
NODE = Resource(kind="cluster", name="phichat-nc24ads-a100-v4", state="1 node, soon 0", usd_per_hour=3.67)


async def priced(pilot: Pilot[None], script: Script) -> None:
    """A training that costs something, on a place that still needs something."""
    script.place, script.checks = PLAN, [*CHECKS[:3], ROOM]
    await states_train.opened(pilot, script)
    script.training = PRICE
    schooling.prepare(states_train.project(pilot))
    await states_train.go(pilot, "setup")
    await until(pilot, lambda: "f5 See the checks" in picture(pilot))


async def begun(pilot: Pilot[None], script: Script) -> str:
    """A run that costs something goes on since half an hour; returns its name."""
    await priced(pilot, script)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "Go on?" in picture(pilot))
    await pilot.press("y")
    await until(pilot, lambda: states_train.train(pilot).place == "run")
    return script.submitted[0].name


async def cooling(pilot: Pilot[None], script: Script) -> None:
    """A run that cost something has ended, and its machine is about to go."""
    script.alive = [NODE]
    name = await begun(pilot, script)
    now = time.time()
    start, *rest = schooling.lessons(24)
    exam = schooling.exam(states_train.project(pilot).state)
    script.tell(name, start.model_copy(update={"at": now - 1800}), *rest, *exam)
    script.tell(name, schooling.DONE.model_copy(update={"at": now}))
    await until(pilot, lambda: "It helped" in picture(pilot) and "soon 0" in picture(pilot))
    view = states_train.train(pilot).view
    assert view.run is not None
    view.run = view.run.model_copy(update={"created": now - 2700})
    view.show()
    await pilot.pause()


STATES_AZURE = {
    "place-needs": needing,
    "signing-in": signing_in,
    "place-planned": planned,
    "place-refused": refused,
    "train-priced": priced,
    "train-cooling": cooling,
}
