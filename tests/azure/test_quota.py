"""How many cores are needed and granted, in the rows that Azure ML really sends."""

from __future__ import annotations

from typing import Any

import pytest

from phichat.backends.azureml import quota
from phichat.backends.azureml.quota import Size

A100 = Size("Standard_NC24ads_A100_v4", "standardNCADSA100v4Family", 24)
E4S = Size("Standard_E4s_v3", "standardESv3Family", 4)


DEDICATED = "Standard NCADSA100v4 Family Cluster Dedicated vCPUs"


def row(name: str, used: int, limit: int, label: str = "", kind: str = "vmFamily") -> dict[str, Any]:
    return {
        "type": f"Microsoft.MachineLearningServices/{kind}/usages",
        "name": {"value": name, "localizedValue": label or name},
        "currentValue": used,
        "limit": limit,
    }


ROWS = [
    row("Total Cluster Dedicated Regional vCPUs", 4, 100, kind="dedicatedCores"),
    row("standardNCADSA100v4Family", 0, -1, "Standard NCADSA100v4 Family Cluster LowPriority vCPUs"),
    row(
        "standardNCADSA100v4Family",
        24,
        96,
        DEDICATED,
        "workspaces",
    ),
    row("StandardNCADSA100v4Family", 0, 24, DEDICATED),
    row("Standard ESv3 Family Cluster Dedicated vCPUs", 2, 8),
]


def test_a_cluster_takes_the_cores_of_its_nodes() -> None:
    assert quota.training_cores(A100, 2) == 48


@pytest.mark.parametrize(("cores", "instances", "needed"), [(4, 1, 8), (16, 1, 32), (4, 5, 24), (4, 6, 32)])
def test_an_endpoint_reserves_a_fifth_more_in_whole_machines(cores: int, instances: int, needed: int) -> None:
    assert quota.serving_cores(E4S._replace(cores=cores), instances) == needed


def test_each_family_and_the_region_are_compared() -> None:
    fits = quota.fits(ROWS, {"standardNCADSA100v4Family": 24, "standardESv3Family": 8})
    told = [(fit.family, fit.needed, fit.used, fit.limit, fit.short) for fit in fits]
    assert told == [
        ("standardNCADSA100v4Family", 24, 0, 24, 0),
        ("standardESv3Family", 8, 2, 8, 2),
        (quota.TOTAL, 32, 4, 100, 0),
    ]
    assert fits[1].wanted_limit == 10
    assert str(fits[1]) == "Standard ESv3 Family Cluster Dedicated vCPUs: 8 needed, 6 of 8 free"


def test_what_our_own_cluster_uses_is_not_gone() -> None:
    top = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces"
    cluster = row("standardNCADSA100v4Family", 24, 24, DEDICATED, "workspaces/computes")
    busy = [
        row("standardNCADSA100v4Family", 24, 24, DEDICATED),
        row("Total Cluster Dedicated Regional vCPUs", 24, 24, kind="dedicatedCores"),
    ]
    wanted = {"standardNCADSA100v4Family": 24}
    ours = {**cluster, "id": f"{top}/lab/computes/gpu/usages/x"}
    theirs = {**cluster, "id": f"{top}/other/computes/gpu/usages/x"}
    assert [fit.short for fit in quota.fits([*busy, ours], wanted, "lab")] == [0, 0]
    assert [fit.short for fit in quota.fits([*busy, theirs], wanted, "lab")] == [24, 24]


def test_a_family_that_is_not_listed_has_no_quota() -> None:
    (fit,) = quota.fits([], {"standardNCADSA100v4Family": 24})
    assert (fit.short, fit.limit) == (24, 0)
    assert fit.label == DEDICATED


def test_a_size_is_found_whatever_its_capitals() -> None:
    sizes = [{"name": "Standard_E4s_v3", "family": "standardESv3Family", "vCPUs": 4, "memoryGB": 32}]
    assert quota.size_of(sizes, "standard_e4s_V3") == E4S
    assert quota.size_of(sizes, "Standard_E8s_v3") is None
