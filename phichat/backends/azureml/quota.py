"""How many cores a machine size takes, how many Azure ML grants, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from phichat.backends.azureml.place import ML_LISTS_API, Place
from phichat.errors import QuotaError

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Arm, Json
    from phichat.backends.azureml.settings import AzureMLSettings

RESERVE = 1.2
"""Managed endpoints keep 20 % more instances' worth of cores, for upgrades: E4s_v3 once needs 8, not 4.
Inferred from two public error texts; Microsoft documents the 20 %."""
TOTAL = "Total Cluster Dedicated Regional vCPUs"


class Size(NamedTuple):
    """A machine size as Azure ML lists it for a location."""

    name: str
    family: str
    cores: int


class Fit(NamedTuple):
    """Whether what is wanted of one machine family fits its quota."""

    family: str
    label: str
    """As the portal writes it."""
    needed: int
    used: int
    limit: int

    @property
    def short(self) -> int:
        """Cores that are missing; 0 if it fits."""
        return max(0, self.used + self.needed - self.limit)

    @property
    def wanted_limit(self) -> int:
        """The limit to ask for."""
        return self.used + self.needed

    @property
    def room(self) -> str:
        """What is needed beside what there is."""
        return f"{self.needed} needed, {max(0, self.limit - self.used)} of {self.limit} free"

    def __str__(self) -> str:
        return f"{self.label}: {self.room}"


def training_cores(size: Size, nodes: int) -> int:
    """Cores of a cluster at its largest."""
    return size.cores * nodes


def serving_cores(size: Size, instances: int) -> int:
    """Cores that a managed endpoint reserves."""
    return size.cores * math.ceil(RESERVE * instances)


def size_of(sizes: Iterable[Mapping[str, Any]], name: str) -> Size | None:
    """The size of that name in Azure ML's list for a location; None if the location does not offer it."""
    for each in sizes:
        if str(each.get("name", "")).lower() == name.lower():
            return Size(each["name"], each.get("family", ""), int(each.get("vCPUs", 0)))
    return None


def fits(usages: Iterable[Mapping[str, Any]], wanted: Mapping[str, int], workspace: str = "") -> list[Fit]:
    """Each family of `wanted` (family → cores) against its quota, then all of them against the region's.

    A family that Azure ML does not list at all has no quota. What clusters of the workspace use does not
    count as used: the next job waits for them, or takes them over.
    """
    usages = list(usages)
    rows = [row for row in usages if _counts(row)]
    found, ours = [], 0
    for family, cores in wanted.items():
        row = next((row for row in rows if _is_family(row, family)), {})
        own = min(cores, _own(usages, family, workspace))
        ours += own
        found.append(_fit(family, row, cores, own))
    total = next((row for row in rows if TOTAL in (_name(row), _label(row))), None)
    if total is not None:
        found.append(_fit(TOTAL, total, sum(wanted.values()), ours))
    return found


async def quota_fits(arm: Arm, place: Place, settings: AzureMLSettings) -> list[Fit]:
    """The quota that training and serving need, beside what Azure grants.

    Raises:
        QuotaError: the location does not offer one of the sizes.
    """
    sizes = await machine_sizes(arm, place)
    wanted: dict[str, int] = {}
    for name, cores, count in (
        (settings.train_size, training_cores, settings.instance_count),
        (settings.serving_size(), serving_cores, 1),
    ):
        size = size_of(sizes, name)
        if size is None:
            raise QuotaError(
                f"{place.location} does not offer {name} for Azure ML.",
                "Choose another backends.azureml.location, or another size.",
            )
        wanted[size.family] = wanted.get(size.family, 0) + cores(size, count)
    usages = await arm.all(f"{place.region_path}/usages", ML_LISTS_API, "look at the quota")
    return fits(usages, wanted, place.workspace)


async def machine_sizes(arm: Arm, place: Place) -> list[Json]:
    """The machine sizes that Azure ML has in the location."""
    return await arm.all(f"{place.region_path}/vmSizes", ML_LISTS_API, "list the machine sizes")


def _fit(family: str, row: Mapping[str, Any], cores: int, own: int) -> Fit:
    used, limit = max(0, int(row.get("currentValue", 0)) - own), int(row.get("limit", 0))
    return Fit(family, _label(row) or label_of(family), cores, used, limit if limit >= 0 else 10**6)


def label_of(family: str) -> str:
    """What the portal calls a family: `standardNCADSA100v4Family` → Standard NCADSA100v4 Family Cluster …"""
    middle = family.removesuffix("Family")
    middle = middle[8:] if middle.lower().startswith("standard") else middle
    return f"Standard {middle} Family Cluster Dedicated vCPUs"


def _own(usages: Iterable[Mapping[str, Any]], family: str, workspace: str) -> int:
    """Cores of a family that clusters of a workspace use."""
    of_ours = f"/workspaces/{workspace}/computes/".lower()
    rows = (row for row in usages if of_ours in str(row.get("id", "")).lower() and not _is_low(row))
    return sum(int(row.get("currentValue", 0)) for row in rows if _is_family(row, family))


def _counts(row: Mapping[str, Any]) -> bool:
    """Whether a row is the subscription's own dedicated quota: not a workspace's share, not low priority."""
    return "/workspace" not in str(row.get("type", "")).lower() and not _is_low(row)


def _is_low(row: Mapping[str, Any]) -> bool:
    return "lowpriority" in f"{_name(row)} {_label(row)}".lower().replace(" ", "")


def _is_family(row: Mapping[str, Any], family: str) -> bool:
    # The service says `standardNCSv3Family`, its documentation the whole label.
    return family.lower() == _name(row).lower() or label_of(family).lower() == _label(row).lower()


def _name(row: Mapping[str, Any]) -> str:
    return str((row.get("name") or {}).get("value", ""))


def _label(row: Mapping[str, Any]) -> str:
    return str((row.get("name") or {}).get("localizedValue", ""))
