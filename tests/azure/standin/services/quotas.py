"""Machine sizes and cores of a location, and the service that grants more of them, or does not."""

from __future__ import annotations

from tests.azure.standin.services.slowly import Slowly
from tests.azure.standin.services.subscriptions import Subscriptions
from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route

HOST = r"management\.azure\.com"
ML = r"Microsoft\.MachineLearningServices"
REGION = rf"/subscriptions/[^/]+/providers/{ML}/locations/(?P<location>[^/]+)"
QUOTA = rf"{REGION}/providers/Microsoft\.Quota"
SIZES = (
    ("Standard_NC24ads_A100_v4", "standardNCADSA100v4Family", 24, 1, 220.0),
    ("Standard_E4s_v3", "standardESv3Family", 4, 0, 32.0),
    ("Standard_E16s_v3", "standardESv3Family", 16, 0, 128.0),
)
LABELS = {
    "standardNCADSA100v4Family": "Standard NCADSA100v4 Family Cluster Dedicated vCPUs",
    "standardESv3Family": "Standard ESv3 Family Cluster Dedicated vCPUs",
}


class Quotas(Service):
    """Limits by family; a request is decided after a while."""

    def __init__(self, subscriptions: Subscriptions, slowly: Slowly) -> None:
        self.limits = {"standardNCADSA100v4Family": 24, "standardESv3Family": 100}
        self.used: dict[str, int] = {}
        self.region_limit = 350
        self.decides = "Succeeded"
        """What becomes of a request: Succeeded, Failed, or InProgress for ever."""
        self.requests: list[Json] = []
        self._subscriptions = subscriptions
        self._slowly = slowly

    @route("GET", HOST, rf"{REGION}/vmSizes")
    def sizes(self, request: Request, location: str) -> Response:
        keys = ("name", "family", "vCPUs", "gpus", "memoryGB")
        there = SIZES if location == "eastus2" else SIZES[1:]
        return answer({"value": [dict(zip(keys, size, strict=True)) for size in there]})

    @route("GET", HOST, rf"{REGION}/usages")
    def usages(self, request: Request, location: str) -> Response:
        rows = [
            _row("vmFamily", family, self.used.get(family, 0), limit) for family, limit in self.limits.items()
        ]
        total = "Total Cluster Dedicated Regional vCPUs"
        rows.append(_row("dedicatedCores", total, sum(self.used.values()), self.region_limit))
        return answer({"value": rows})

    @route("PUT", HOST, rf"{QUOTA}/quotas/(?P<family>\w+)")
    def ask(self, request: Request, location: str, family: str) -> Response:
        if not self._subscriptions.is_registered("Microsoft.Quota"):
            return error(409, "MissingSubscriptionRegistration", "not registered to use namespace 'x'.")
        asked = request.json["properties"]
        whole = asked["limit"]["limitObjectType"] == "LimitValue" and asked["resourceType"] == "dedicated"
        if not whole or asked["name"]["value"] != family:
            return error(400, "BadRequest", "The request is not whole.")
        number = str(len(self.requests))
        told = {"name": number, "family": family, "limit": asked["limit"]["value"]}
        self.requests.append({**told, "at": "2999-01-01T00:00:00Z"})
        self._slowly.begin(f"quota {number}")
        address = (
            f"https://management.azure.com{request.path.partition('/quotas/')[0]}/quotaRequests/{number}"
        )
        return Response(202, b"", {"Location": address, "Retry-After": "0"})

    @route("GET", HOST, rf"{QUOTA}/quotaRequests")
    def asked(self, request: Request, location: str) -> Response:
        return answer({"value": [self._told(each) for each in self.requests]})

    def _told(self, request: Json) -> Json:
        done = self._slowly.look(f"quota {request['name']}")
        state = self.decides if done else "InProgress"
        if state == "Succeeded":
            self.limits[request["family"]] = request["limit"]
        part = {
            "name": {"value": request["family"]},
            "limit": {"limitObjectType": "LimitValue", "value": request["limit"]},
            "provisioningState": state,
        }
        told: Json = {"provisioningState": state, "requestSubmitTime": request["at"], "value": [part]}
        if state == "Failed":
            told["error"] = {"code": "ContactSupport", "message": "There is not enough capacity"}
        return {"name": request["name"], "properties": told}


def _row(kind: str, name: str, used: int, limit: int) -> Json:
    return {
        "type": f"Microsoft.MachineLearningServices/{kind}/usages",
        "name": {"value": name, "localizedValue": LABELS.get(name, name)},
        "currentValue": used,
        "limit": limit,
        "unit": "Count",
    }
