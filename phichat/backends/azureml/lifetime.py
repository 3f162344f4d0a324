"""How long a deployment is wanted: a tag that says so, as nothing in Azure ends an endpoint by itself."""

from __future__ import annotations

import calendar
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Json

MADE, UNTIL = "phichat-made", "phichat-until"
FORM = "%Y-%m-%dT%H:%M:%SZ"


def stamp(at: float) -> str:
    """A moment as the tags have it, in UTC."""
    return time.strftime(FORM, time.gmtime(at))


def until(deployment: Json) -> float | None:
    """When a deployment's time is up, in seconds since the epoch; None: never, or nobody can read it."""
    return _moment(deployment, UNTIL)


def since(deployment: Json) -> float | None:
    """When a deployment was made, in seconds since the epoch; None: nobody can read it."""
    return _moment(deployment, MADE)


def _moment(deployment: Json, tag: str) -> float | None:
    told = (deployment.get("tags") or {}).get(tag, "")
    try:
        return float(calendar.timegm(time.strptime(told, FORM)))
    except ValueError:
        return None
