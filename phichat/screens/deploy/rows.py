"""The deployments as they are listed: share of the requests, health, price, time to live, and whose."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from textual.content import Content

from phichat.backends.base import DeploymentState, Resource
from phichat.screens.wording import clock
from phichat.workflow.estimates import duration, hourly

BAR = 10
"""Characters of a bar that stands for all requests."""
FOREIGN = "Of others: they can be chatted with, and are never changed from here"
Rows = dict[str, Sequence[Content]]


def listed(
    states: Sequence[DeploymentState], resources: Sequence[Resource], current: str, *, shared: bool
) -> tuple[list[str], Rows]:
    """The head and the rows by deployment; `current` answers the chats, `shared`: requests can be shared.

    A row of a single cell is a heading: the endpoint of those below, where there are several.
    """
    ours = [state for state in states if not state.foreign]
    rates = {each.name: each.usd_per_hour for each in resources}
    # Where a deployment has the name of its model, that is said once.
    other = any(not name_of(state).startswith(state.model) for state in ours)
    optional = [*(["Model"] if other else []), *(["Requests"] if shared else [])]
    head = ["", "Deployment", *optional, "Cost", "State"]
    endpoints = {state.endpoint for state in ours if state.endpoint}
    rows: Rows = {}
    for state in [*ours, *(state for state in states if state.foreign)]:
        heading = FOREIGN if state.foreign else state.endpoint if len(endpoints) > 1 else ""
        if heading:
            rows.setdefault(f"heading {heading}", [Content(heading)])
        cost = "" if state.foreign else hourly(rates.get(state.deployment.id, 0.0))
        rows[state.deployment.id] = [
            Content("▸" if state.deployment.id == current else " "),
            Content(state.deployment.id if state.foreign else name_of(state)),
            *([Content(state.model)] if other else []),
            *([bar(state.traffic)] if shared else []),
            Content(cost),
            health(state),
        ]
    return head, rows


def name_of(state: DeploymentState) -> str:
    """A deployment's own name, without that of its endpoint."""
    return state.deployment.id.rpartition("/")[2] if state.endpoint else state.deployment.id


def bar(percent: int) -> Content:
    """A share of the requests as a bar with its number; without colours, to be seen below the cursor too."""
    full = round(BAR * percent / 100)
    return Content(f"{'━' * full}{'┄' * (BAR - full)} {percent:>3} %")


def health(state: DeploymentState) -> Content:
    """Whether it answers, as a sign, a colour and a word."""
    if expired(state):
        return Content.assemble(("▲", "$text-warning"), " time is up")
    if state.healthy:
        return Content.assemble(("●", "$text-success"), " healthy")
    return Content.assemble(("○", "$text-warning"), f" {state.detail or 'not healthy'}")


def about(state: DeploymentState, resources: Sequence[Resource]) -> Content:
    """More of one deployment: endpoint, machine, what it has cost so far, until when it is wanted."""
    parts = [state.endpoint or state.deployment.url]
    if state.healthy and state.detail != "ready":  # otherwise the list says it
        parts.append(state.detail.partition(", until ")[0].partition(", its time")[0])
    if state.previous:
        parts.append("for a rollback")
    rate = next((each.usd_per_hour for each in resources if each.name == state.deployment.id), 0.0)
    if rate and state.made is not None:
        parts.append(f"US${rate * (time.time() - state.made) / 3600:.2f} so far")
    told = Content(" · ".join(part for part in parts if part))
    if state.until is not None:
        told += Content("\n" if told.plain else "") + _until(state.until)
    return told


def expired(state: DeploymentState) -> bool:
    """Whether its time to live is up."""
    return state.until is not None and state.until < time.time()


def alive(states: Mapping[str, DeploymentState], resources: Sequence[Resource]) -> str:
    """What else costs by the hour, and all of it together; empty where nothing costs."""
    costing = [each for each in resources if each.usd_per_hour != 0]
    others = [f"{each.kind} {each.name}, {each.state}" for each in costing if each.name not in states]
    if not costing or (len(costing) == 1 and not others):
        return ""
    rates = [each.usd_per_hour for each in costing if each.usd_per_hour is not None]
    total = hourly(sum(rates)) if len(rates) == len(costing) else "an unknown sum"
    together = f"All that is alive costs {total}"
    return ". ".join([together, *(["Also: " + "; ".join(others)] if others else [])])


def everything(resources: Sequence[Resource]) -> Content:
    """All that is alive, each with what it costs; the price first: names are long."""
    costs = [hourly(each.usd_per_hour) for each in resources]
    width = max(map(len, costs), default=0)
    lines = []
    for cost, each in zip(costs, resources, strict=True):
        kind = "" if each.kind == "deployment" else f"{each.kind} "
        lines.append(Content.assemble((f"{cost:<{width}}", "bold"), f"  {kind}{each.name}"))
    return Content("\n").join(lines)


def _until(until: float) -> Content:
    left = until - time.time()
    if left < 0:
        return Content.styled(f"Its time was up at {clock(until)}, but it costs on.", "$text-warning")
    return Content(f"Wanted until {clock(until)}, for another {duration(left)}.")
