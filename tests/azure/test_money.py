"""Prices with where they come from, and ranges instead of numbers that nobody knows."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from phichat.backends.azureml import money, prices
from phichat.backends.azureml.prices import Price
from phichat.backends.base import DeploySpec
from phichat.backends.workload import Workload
from tests.azure.places import Lab
from tests.azure.standin.cloud import Cloud

A100 = "Standard_NC24ads_A100_v4"
TUTORIAL = Workload(
    rows=1663, tokens=2.16e6 * 3, steps=792, rows_per_step=4, batch_tokens=8192, method="full"
)
"""The tutorial's own training, with Phi-3.5-mini."""


def row(price: float, **changes: Any) -> dict[str, Any]:
    plain = {
        "currencyCode": "USD",
        "retailPrice": price,
        "armRegionName": "eastus2",
        "armSkuName": A100,
        "meterName": "NC24ads A100 v4",
        "productName": "NCads A100 v4 Series",
        "skuName": "NC24ads A100 v4",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
    }
    return {**plain, **changes}


ROWS = [
    row(3.9),
    row(0.4, skuName="NC24ads A100 v4 Spot"),
    row(0.7, meterName="NC24ads A100 v4 Low Priority"),
    row(5.1, productName="NCads A100 v4 Series Windows"),
    row(20000.0, type="Reservation"),
    row(0.0),
]


def answering(answer: httpx.Response | Exception, seen: list[httpx.Request]) -> httpx.AsyncClient:
    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.AsyncClient(transport=httpx.MockTransport(handle))


async def test_the_price_list_is_asked_without_signing_in() -> None:
    seen: list[httpx.Request] = []
    async with answering(httpx.Response(200, json={"Items": ROWS}), seen) as client:
        found = await prices.price(A100, "eastus2", client)
    assert found is not None and (found.low, found.high) == (3.9, 3.9)
    assert found.source.startswith("prices.azure.com, 20")
    (request,) = seen
    assert request.method == "GET" and request.url.host == "prices.azure.com"
    assert "authorization" not in request.headers
    wanted = f"armSkuName eq '{A100}' and armRegionName eq 'eastus2' and priceType eq 'Consumption'"
    assert request.url.params["$filter"] == wanted


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("no network"),
        httpx.Response(503),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"Items": []}),
        httpx.Response(200, json=[]),
    ],
    ids=["away", "503", "a page", "unknown there", "another shape"],
)
async def test_without_the_list_the_dated_copy_holds(answer: httpx.Response | Exception) -> None:
    async with answering(answer, []) as client:
        found = await prices.price("Standard_E4s_v3", "eastus2", client)
    assert found == Price(0.266, 0.266, "skypilot-catalog v6, read 2026-11-22")


def test_a_price_of_another_location_says_so() -> None:
    found = prices.from_snapshot(A100, "westeurope")
    assert found == Price(3.673, 3.673, "data-receipts, gpu-pricing of 2026-11-09 for eastus")
    ranged = prices.from_snapshot("standard_e4s_v3", "westeurope")
    assert ranged is not None and (ranged.low, ranged.high) == (0.252, 0.296)
    assert prices.from_snapshot("Standard_Unknown", "eastus") is None


def test_every_row_of_the_copy_has_a_source_with_a_date() -> None:
    for each in json.loads(prices.SNAPSHOT.read_text(encoding="utf-8"))["prices"]:
        assert "2026-" in each["source"] and each["usd_per_hour"] > 0


def test_the_tutorials_training_costs_what_it_is_known_to_cost() -> None:
    told = money.training(TUTORIAL, 3.82e9, A100, 1, Price(3.673, 3.673, "list of today"))
    assert told.seconds is not None and told.usd is not None
    hours = [seconds / 3600 for seconds in told.seconds]
    assert 0.39 < hours[0] < 0.8 and 0.71 < hours[1] < 1.8
    assert 1.5 < told.usd[0] < 3 < told.usd[1] < 8
    assert told.usd_rate == 3.673 and told.usd_per_hour is None
    assert A100 in told.source and "list of today" in told.source
    assert not told.free


def test_two_nodes_are_faster_and_not_cheaper() -> None:
    price = Price(3.673, 3.673, "list")
    one, two = (money.training(TUTORIAL, 3.82e9, A100, nodes, price) for nodes in (1, 2))
    assert one.seconds and two.seconds and one.usd and two.usd
    assert two.seconds[1] < one.seconds[1] and two.usd[1] > one.usd[1]


def test_what_nobody_knows_stays_open() -> None:
    strange = money.training(TUTORIAL, 3.82e9, "Standard_Strange", 1, Price(1, 1, "list"))
    assert strange.seconds is None and strange.usd is None and strange.usd_rate == 1
    assert "not known" in strange.source
    unpriced = money.training(TUTORIAL, 3.82e9, A100, 1, None)
    assert unpriced.seconds is not None and unpriced.usd is None
    assert not money.serving("Standard_E4s_v3", 1, None).free


def test_a_deployment_costs_by_the_hour() -> None:
    told = money.serving("Standard_E4s_v3", 2, Price(0.252, 0.296, "list"))
    assert told.usd == (0, 0) and told.usd_per_hour == pytest.approx(0.592)
    assert not told.free


async def test_nobody_waits_for_a_large_model_on_four_cores_unknowingly(cloud: Cloud, lab: Lab) -> None:
    spec = DeploySpec(name="phi", model="phi-3.5-mini")
    told = await lab().estimate(spec)
    assert told.usd_per_hour == pytest.approx(0.266)
    slow = "some 0.7 to 1.6 tokens a second, cut off by Azure after 3 minutes (118 tokens or more)"
    assert slow in told.source and "not measured" in told.source
    assert f'{A100} (size = "gpu"): US$3.67 an hour, some 40 tokens a second' in told.source
    for size in ("gpu", A100):
        fast = await lab().estimate(spec.model_copy(update={"size": size}))
        assert fast.usd_per_hour == pytest.approx(3.673)
        assert fast.source.startswith(A100) and "some 40 tokens a second" in fast.source
    assert (await lab(serve_size="gpu").estimate(spec)).usd_per_hour == pytest.approx(3.673)
    small = await lab().estimate(spec.model_copy(update={"model": "smollm2"}))
    assert "19 to 40 tokens a second" in small.source and A100 not in small.source
    large = await lab().estimate(spec.model_copy(update={"model": "phi-4"}))
    assert "the model's 59 GB do not fit into its memory of 34 GB" in large.source


def test_money_is_a_limit_of_time() -> None:
    assert money.longest_seconds(3.673, 3.673) == 3600
    assert money.longest_seconds(0.0, 3.673) == 60
