"""Azure's price list, which answers anybody."""

from __future__ import annotations

import re

from tests.azure.standin.wire import Json, Request, Response, Service, answer, error, route


class Prices(Service):
    """Prices by size and location; machines with Windows and spot machines are in the list as well."""

    def __init__(self) -> None:
        self.of = {
            ("Standard_NC24ads_A100_v4", "eastus2"): 3.673,
            ("Standard_E4s_v3", "eastus2"): 0.266,
            ("Standard_E16s_v3", "eastus2"): 1.06,
        }
        self.away = False

    @route("GET", r"prices\.azure\.com", r"/api/retail/prices")
    def listed(self, request: Request) -> Response:
        if self.away:
            return error(503, "ServerBusy", "Not now.")
        wanted = dict(re.findall(r"(\w+) eq '([^']+)'", request.query["$filter"]))
        usd = self.of.get((wanted["armSkuName"], wanted["armRegionName"]))
        rows = (
            [] if usd is None else [_row(wanted, usd), _row(wanted, usd / 9, " Spot"), _row(wanted, usd * 2)]
        )
        if rows:
            rows[2]["productName"] += " Windows"
        return answer({"Items": rows, "NextPageLink": None, "Count": len(rows)})


def _row(wanted: dict[str, str], usd: float, kind: str = "") -> Json:
    return {
        "currencyCode": "USD",
        "retailPrice": usd,
        "armRegionName": wanted["armRegionName"],
        "armSkuName": wanted["armSkuName"],
        "productName": "Virtual Machines Series",
        "meterName": f"{wanted['armSkuName']}{kind}",
        "skuName": f"{wanted['armSkuName']}{kind}",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
    }
