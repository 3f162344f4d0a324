"""Asking Azure for more quota: once, with an answer that is awaited for a while, or the page to ask at."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from phichat.backends.azureml import arm as waiting
from phichat.errors import AuthError, BackendError, UnavailableError

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Arm
    from phichat.backends.azureml.place import Place
    from phichat.backends.azureml.quota import Fit

API = "2025-09-01"
PAGE = "https://portal.azure.com/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas"
LOOKS = 12
"""How often to look for the answer: most come within a minute, the others after days."""
AGAIN_S = 24 * 3600
"""A request that was refused is not repeated for a day: the answer would be the same."""
OPEN, GRANTED = ("accepted", "inprogress"), "succeeded"


class Answer(NamedTuple):
    """What became of a request."""

    state: str
    """granted, open or refused."""
    detail: str


def page(place: Place, fit: Fit) -> str:
    """Where a person asks for the quota, and what to fill in."""
    what = f"Machine Learning, {place.location}, {fit.label}, new limit {fit.wanted_limit}"
    return f"{PAGE} ({what})"


async def ask(arm: Arm, place: Place, fit: Fit) -> Answer:
    """Ask for the quota that is missing, or find the request that was made before, and wait a little."""
    try:
        if not await _newest(arm, place, fit):
            await _put(arm, place, fit)
        answer = _answer(await _newest(arm, place, fit) or {})
        for _ in range(LOOKS):
            if answer.state != "open":
                break
            await waiting.pause(waiting.WAIT_S)
            answer = _answer(await _newest(arm, place, fit) or {})
    except (AuthError, UnavailableError):
        raise
    except BackendError as error:
        # The service that takes requests does not take this one: the page does.
        return Answer("refused", error.message)
    return answer


async def _put(arm: Arm, place: Place, fit: Fit) -> None:
    body = {
        "properties": {
            "limit": {"limitObjectType": "LimitValue", "value": fit.wanted_limit},
            "name": {"value": fit.family},
            "resourceType": "dedicated",
        }
    }
    path = f"{place.region_path}/providers/Microsoft.Quota/quotas/{fit.family}"
    await arm.ask("PUT", path, API, body, f"ask for {fit.wanted_limit} vCPUs of {fit.label}")


async def _newest(arm: Arm, place: Place, fit: Fit) -> Mapping[str, Any] | None:
    """The newest request for at least this much that still counts."""
    path = f"{place.region_path}/providers/Microsoft.Quota/quotaRequests"
    found = await arm.all(path, API, "list the quota requests")
    told = sorted((each.get("properties", {}) for each in found), key=_submitted, reverse=True)
    return next((each for each in told if _is_for(each, fit) and _counts(each)), None)


def _is_for(request: Mapping[str, Any], fit: Fit) -> bool:
    for part in request.get("value") or ():
        name = (part.get("name") or {}).get("value", "")
        limit = part.get("limit") or {}
        asked = limit.get("value", 0) if isinstance(limit, Mapping) else limit
        if name.lower() == fit.family.lower() and int(asked or 0) >= fit.wanted_limit:
            return True
    return False


def _counts(request: Mapping[str, Any]) -> bool:
    if _state(request) in OPEN:
        return True
    return time.time() - _submitted(request) < AGAIN_S


def _submitted(request: Mapping[str, Any]) -> float:
    try:
        told = str(request.get("requestSubmitTime", ""))[:19]
        return calendar.timegm(time.strptime(told, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return 0.0


def _state(request: Mapping[str, Any]) -> str:
    return str(request.get("provisioningState", "")).lower()


def _answer(request: Mapping[str, Any]) -> Answer:
    parts = request.get("value") or [{}]
    error = request.get("error") or {}
    said = error.get("message") or request.get("message") or parts[0].get("message") or ""
    state = _state(request)
    if state == GRANTED:
        return Answer("granted", "Azure has granted it")
    if state in OPEN or not state:
        return Answer("open", "Azure reviews the request")
    return Answer("refused", said or "Azure has refused it")
