"""What a machine costs an hour: Azure's own price list where it can be reached, a dated copy otherwise."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import httpx

LIST = "https://prices.azure.com/api/retail/prices"
"""Answers anybody, without signing in. Its filters distinguish capital letters."""
SNAPSHOT = Path(__file__).with_name("prices.json")
TIMEOUT_S = 5.0
"""Money is shown before the click: it must not keep the person waiting for it."""
OTHER = ("windows", "spot", "low priority", "lowpriority", "cloud services")
"""Words of rows that are not a plain machine with Linux."""


class Price(NamedTuple):
    """US dollars an hour for one machine, without tax and discounts."""

    low: float
    high: float
    source: str
    """With its date, and the location where it is another one's."""


async def price(size: str, location: str, client: httpx.AsyncClient | None = None) -> Price | None:
    """What a machine size costs in a location; None where neither list nor copy knows it."""
    return await _live(size, location, client) or from_snapshot(size, location)


async def _live(size: str, location: str, client: httpx.AsyncClient | None) -> Price | None:
    import httpx

    wanted = {"armSkuName": size, "armRegionName": location, "priceType": "Consumption"}
    query = {
        "api-version": "2023-01-01-preview",
        "currencyCode": "USD",
        "$filter": " and ".join(f"{name} eq '{_quoted(value)}'" for name, value in wanted.items()),
    }
    try:
        if client is None:
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as own:
                answer = await own.get(LIST, params=query)
        else:
            answer = await client.get(LIST, params=query)
        answer.raise_for_status()
        rows = answer.json()["Items"]
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None
    return from_rows(rows)


def from_rows(rows: Iterable[Mapping[str, Any]]) -> Price | None:
    """The price of a plain machine among the rows of Azure's list; None if it is not there."""
    told = [float(row["retailPrice"]) for row in rows if _plain(row)]
    if not told:
        return None
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return Price(min(told), max(told), f"prices.azure.com, {today}")


def from_snapshot(size: str, location: str) -> Price | None:
    """The price in our dated copy; a location that it does not have gets the prices of those that it has."""
    rows = json.loads(SNAPSHOT.read_text(encoding="utf-8"))["prices"]
    same = [row for row in rows if row["size"].lower() == size.lower()]
    here = [row for row in same if row["location"] == location] or same
    if not here:
        return None
    told = [float(row["usd_per_hour"]) for row in here]
    elsewhere = (
        "" if here[0]["location"] == location else f" for {', '.join(row['location'] for row in here)}"
    )
    return Price(min(told), max(told), f"{here[0]['source']}{elsewhere}")


def _plain(row: Mapping[str, Any]) -> bool:
    words = " ".join(str(row.get(key, "")) for key in ("productName", "meterName", "skuName")).lower()
    hourly = row.get("unitOfMeasure") == "1 Hour" and row.get("type", "Consumption") == "Consumption"
    dollars = row.get("currencyCode", "USD") == "USD" and float(row.get("retailPrice") or 0) > 0
    return hourly and dollars and not any(word in words for word in OTHER)


def _quoted(value: str) -> str:
    return value.replace("'", "''")
