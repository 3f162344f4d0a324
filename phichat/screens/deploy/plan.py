"""What is asked before a model is deployed: the steps, the price, and how long it goes on costing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from phichat.backends.base import DeploySpec, Estimate
from phichat.screens.deploy.story import told_step
from phichat.screens.wording import size
from phichat.workflow.estimates import price

if TYPE_CHECKING:
    from phichat.screens.deploy.work import Priced


def question(spec: DeploySpec, estimate: Estimate) -> str:
    """What to ask before a model is deployed; empty where there is nothing to ask."""
    told = []
    if cost := price(estimate):
        told.append(f"Deploying {spec.name} costs {cost}.")
    if estimate.download_bytes != 0:
        amount = size(estimate.download_bytes) if estimate.download_bytes else "an unknown amount"
        told.append(f"{spec.model} has to be downloaded first: {amount}.")
    return " ".join([*told, "Go on?"]) if told else ""


def plan(priced: Priced) -> Content:
    """The steps that it takes, which of them are done already, and the time to live."""
    lines = [told_step(step) for step in priced.steps]
    if priced.estimate.usd_per_hour:
        lines.append(Content(""))
        hours = priced.spec.ttl_hours
        until = (
            f"Its time to live is {hours:g} h: then you are reminded, and `down --expired` deletes it."
            if hours
            else "It costs until it is deleted; deploy.ttl_hours would set a time to live."
        )
        lines.append(Content(until))
    return Content("\n").join(lines)
