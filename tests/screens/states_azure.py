"""The states of what a place elsewhere needs: signing in, making it ready, and the checks that lead there."""

from __future__ import annotations

from textual.pilot import Pilot

from phichat.backends.base import Check
from phichat.errors import QuotaError
from phichat.events import Step
from phichat.screens.checklist import CheckList
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


STATES_AZURE = {
    "place-needs": needing,
    "signing-in": signing_in,
    "place-planned": planned,
    "place-refused": refused,
}
