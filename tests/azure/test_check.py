"""Check on the wire: what is missing, each with its fix, and nothing but questions."""

from __future__ import annotations

import pytest

from phichat.backends.base import Check
from tests.azure.places import Lab
from tests.azure.standin.cloud import SUBSCRIPTION, Cloud
from tests.azure.standin.faults import Fault, instead
from tests.azure.standin.wire import Response, error

ALL = [
    "packages",
    "names",
    "sign-in",
    "subscription",
    "workspace",
    "permissions",
    "identity",
    "storage",
    "quota",
    "quota",
    "quota",
]


@pytest.fixture
async def ready(empty: Cloud, lab: Lab) -> Lab:
    """A project whose place was made."""
    await lab().provision(lambda event: None)
    empty.forget()
    return lab


async def failures(lab: Lab, **settings: object) -> dict[str, Check]:
    """What is not in place, by name."""
    found = await lab(**settings).check()
    for check in found:
        assert check.ok or check.fix, check
    return {check.name: check for check in found if not check.ok}


async def test_all_is_in_place_and_nothing_was_changed(empty: Cloud, ready: Lab) -> None:
    found = await ready().check()
    assert [check.name for check in found] == ALL
    assert all(check.ok for check in found)
    told = {check.name: check.detail for check in found}
    assert told["sign-in"].startswith("EnvironmentCredential (asked in order: phichat login, environment ")
    assert "client " in told["identity"]
    asked = [request for request in empty.requests if not request.host.startswith("login.")]
    assert len(asked) > 8 and {request.method for request in asked} == {"GET"}


async def test_an_empty_subscription_needs_provision(empty: Cloud, lab: Lab) -> None:
    found = await failures(lab)
    assert set(found) == {"workspace", "identity", "storage"}
    assert all("phichat provision" in check.fix for check in found.values())
    assert empty.made() == []


async def test_illegal_names_are_told_before_anybody_is_asked(empty: Cloud, lab: Lab) -> None:
    found = await failures(lab, workspace="Grupo de Teste", subscription_id="mine")
    told = [check.detail for check in await lab(workspace="Grupo de Teste").check() if not check.ok]
    assert len(told) == 1 and "'Grupo-de-Teste' would do" in told[0]
    assert set(found) == {"names"} and empty.requests == []


async def test_nobody_is_signed_in(empty: Cloud, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    found = await failures(lab)
    assert set(found) == {"sign-in"}, "what comes after it cannot be known"
    assert "AZURE_CLIENT_SECRET" in found["sign-in"].fix


async def test_an_expired_sign_in_is_no_missing_workspace(empty: Cloud, ready: Lab) -> None:
    expired = instead(error(401, "ExpiredAuthenticationToken", "The access token expired."))
    empty.faults.append(Fault("GET", "workspaces/phichat$", expired))
    found = await failures(ready)
    assert "expired" in found["workspace"].detail and "login" in found["workspace"].fix


async def test_another_subscription_is_no_empty_one(empty: Cloud, ready: Lab) -> None:
    found = await failures(ready, subscription_id="00000000-0000-0000-0000-000000000000")
    assert set(found) == {"subscription"}
    assert "no such subscription" in found["subscription"].detail
    empty.subscriptions.state = "Disabled"
    assert set(await failures(ready)) == {"subscription"}


async def test_a_workspace_elsewhere_is_not_ours(empty: Cloud, ready: Lab) -> None:
    found = await failures(ready, location="westus", train_size="Standard_E16s_v3")
    assert found["workspace"].detail == "phichat is in eastus2, not in westus"
    assert found["workspace"].fix == "Set backends.azureml.location to eastus2."


@pytest.mark.parametrize(
    ("permission", "told", "role"),
    [
        ({"actions": ["*/read"]}, "to train you also need", "Contributor"),
        (
            {"actions": ["*"], "notActions": ["Microsoft.MachineLearningServices/workspaces/jobs/*"]},
            "workspaces/jobs/write, Microsoft.MachineLearningServices/workspaces/jobs/cancel/action",
            "Contributor",
        ),
        (
            {"actions": ["Microsoft.MachineLearningServices/*"]},
            "to deploy you also need Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            "Managed Identity Operator",
        ),
    ],
    ids=["reader", "no jobs", "no identities"],
)
async def test_what_a_person_may_not_do(
    empty: Cloud, ready: Lab, permission: dict[str, list[str]], told: str, role: str
) -> None:
    empty.roles.permissions = [permission]
    found = await failures(ready)
    assert set(found) == {"permissions"}
    assert told in found["permissions"].detail and role in found["permissions"].fix


async def test_who_may_not_provision_is_told_before(empty: Cloud, lab: Lab) -> None:
    empty.roles.permissions = [
        {"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]},
    ]
    found = await failures(lab)
    assert "Microsoft.Authorization/roleAssignments/write" in found["permissions"].detail
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/phichat"
    empty.resources.all[group.lower()] = {"id": group, "type": "Microsoft.Resources/resourceGroups"}
    found = await failures(lab)
    assert "Microsoft.Authorization/roleAssignments/write" in found["permissions"].detail
    assert "User Access Administrator" in found["permissions"].fix
    asked = [str(each) for each in empty.requests if each.path.endswith("/permissions")]
    assert asked[0].endswith(f"{SUBSCRIPTION}/providers/Microsoft.Authorization/permissions")
    assert asked[-1].endswith("resourceGroups/phichat/providers/Microsoft.Authorization/permissions")


async def test_an_identity_without_its_roles(empty: Cloud, ready: Lab) -> None:
    empty.roles.assignments.clear()
    found = await failures(ready)
    assert found["identity"].detail == "phichat lacks Storage Blob Data Reader and AcrPull"


async def test_quota_that_is_short_is_told_with_its_numbers(empty: Cloud, ready: Lab) -> None:
    empty.quotas.limits["standardNCADSA100v4Family"] = 0
    empty.quotas.used["standardESv3Family"] = 96
    found = [check for check in await ready().check() if not check.ok]
    assert [check.detail for check in found] == [
        "Standard NCADSA100v4 Family Cluster Dedicated vCPUs: 24 needed, 0 of 0 free",
        "Standard ESv3 Family Cluster Dedicated vCPUs: 8 needed, 4 of 100 free",
    ]
    assert "phichat provision" in found[0].fix and "new limit 24" in found[0].fix
    assert "new limit 104" in found[1].fix


async def test_no_gpu_is_promised_under_an_offer_that_has_none(empty: Cloud, ready: Lab) -> None:
    empty.quotas.limits["standardNCADSA100v4Family"] = 0
    empty.subscriptions.offer = "AzureForStudents_2018-01-01"
    found = await failures(ready)
    assert found["quota"].detail.endswith("paid for, and this one is AzureForStudents")
    assert "Standard_E16s_v3" in found["quota"].fix and "pay-as-you-go" in found["quota"].fix


async def test_a_location_that_does_not_offer_the_size(empty: Cloud, ready: Lab) -> None:
    found = await failures(ready, train_size="Standard_ND96isr_H100_v5")
    assert "does not offer Standard_ND96isr_H100_v5" in found["quota"].detail
    assert "location" in found["quota"].fix


async def test_a_closed_firewall_is_told(empty: Cloud, ready: Lab) -> None:
    closed = Response(403, b"<Error/>", {"x-ms-error-code": "AuthorizationFailure"})
    empty.faults.append(Fault("GET", r"blob\.core", instead(closed)))
    found = await failures(ready)
    assert set(found) == {"storage"} and "firewall" in found["storage"].detail


async def test_one_check_that_fails_leaves_the_others(empty: Cloud, ready: Lab) -> None:
    empty.faults.append(Fault("GET", "/permissions", instead(error(400, "Strange", "?"))))
    empty.faults.append(Fault("GET", "/usages", instead(error(400, "Strange", "?"))))
    found = await failures(ready)
    assert set(found) == {"permissions", "quota"}


async def test_without_the_packages_the_extra_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phichat.backends.azureml.checks.NEEDED", ("azure.ai.nothing",))
    found = await failures(lab)
    assert found["packages"].detail == "missing: azure-ai-nothing"
    assert found["packages"].fix == "pip install 'phichat[azure]'"
