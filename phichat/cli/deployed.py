"""How a deployment is told: what it serves, whether the chats go to it, and its share of requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from phichat.cli.terminal import out, out_json, table

if TYPE_CHECKING:
    from phichat.backends.base import DeploymentState


def show(states: Sequence[DeploymentState], current: str) -> None:
    """A line for each; who shares no endpoint has no share of one. `current` is an id, or empty."""
    shared = any(state.endpoint for state in states)
    rows = [("DEPLOYMENT", "MODEL", "HEALTHY", "CURRENT", *(["TRAFFIC"] if shared else []), "")]
    for state in states:
        healthy = "yes" if state.healthy else "no"
        answers = "yes" if state.deployment.id == current else ""
        share = f"{state.traffic} %" if state.endpoint else ""
        traffic = [share] if shared else []
        rows.append((state.deployment.id, state.model, healthy, answers, *traffic, state.detail))
    out(table(rows))


def as_json(states: Sequence[DeploymentState], current: str) -> None:
    """The same for scripts."""
    for state in states:
        out_json("deployment", {**state.model_dump(), "current": state.deployment.id == current})
