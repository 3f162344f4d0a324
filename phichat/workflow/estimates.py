"""What an estimate says to people: how long, how much memory, what it costs, and whether to ask about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phichat.backends.base import Estimate
    from phichat.workflow.money import Cost, Spending


def duration(seconds: float) -> str:
    """Time for people: `40 s`, `3 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def time_needed(estimate: Estimate) -> str:
    """How long it takes: `about 3 min to 9 min`; empty where nobody knows."""
    if not estimate.seconds:
        return ""
    low, high = map(duration, estimate.seconds)
    return f"about {low} to {high}" if low != high else f"about {low}"


def price(estimate: Estimate) -> str:
    """What something costs, for people; empty if it is certainly free."""
    if estimate.free:
        return ""
    once = f"US${estimate.usd[0]:.2f} to {estimate.usd[1]:.2f}" if estimate.usd and estimate.usd[1] else ""
    hourly = f"US${estimate.usd_per_hour:.2f} an hour while it is alive" if estimate.usd_per_hour else ""
    told = ", then ".join(part for part in (once, hourly) if part) or "nobody knows how much"
    return f"{told} ({estimate.source})" if estimate.source else told


def spent_so_far(spending: Spending) -> str:
    """What a project has spent and may still spend; empty where there is nothing to tell."""
    usd = "nobody knows how much" if spending.usd is None else f"US${spending.usd + spending.deployed:.2f}"
    if spending.budget is None:
        return "" if spending.usd == spending.deployed == 0 else f"{usd} by list price, no budget"
    aside = f", US${spending.promised:.2f} set aside for jobs under way" if spending.promised else ""
    left = f"US${spending.left or 0:.2f} of the budget of US${spending.budget:.2f} is left"
    return f"{usd} by list price{aside}; {left}"


def cost_told(cost: Cost, *, priced: bool) -> str:
    """What a run has cost and for how long; empty where runs cost nothing."""
    if not priced:
        return ""
    usd = "price unknown" if cost.usd is None else f"US${cost.usd:.2f}"
    return f"{cost.hours:.1f} h, {usd}"


def hourly(usd: float | None) -> str:
    """What something that is alive costs an hour."""
    if usd is None:
        return "unknown"
    return f"US${usd:.2f} an hour" if usd else "free"


def tight(estimate: Estimate) -> bool:
    """Whether it will hardly fit into the memory that is free."""
    if estimate.memory_bytes is None or estimate.memory_free is None:
        return False
    return estimate.memory_bytes[0] > estimate.memory_free
