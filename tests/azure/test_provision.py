"""Provision on the wire: everything once, found again, whatever goes wrong in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from phichat.backends.azureml.place import identity_of, place_of
from phichat.errors import AuthError, BackendError, QuotaError, UnavailableError
from phichat.events import Event, Step, dump
from tests.azure.places import Lab, lab_of
from tests.azure.standin.cloud import SECRET, SUBSCRIPTION, Cloud, opened
from tests.azure.standin.faults import Fault, busy, drop_after, drop_before, instead
from tests.azure.standin.wire import Request, Response, error

PARTS = [
    "services of the subscription",
    "resource group",
    "storage account",
    "key vault",
    "container registry",
    "log workspace",
    "application insights",
    "workspace",
    "identity",
    "role Storage Blob Data Reader",
    "role AcrPull",
]
ROLES = {
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "storageAccounts",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "registries",
}


def ends(told: list[Event]) -> dict[str, str]:
    """Each step of a walk, and how it ended."""
    return {event.name: event.state for event in told if isinstance(event, Step)}


async def test_a_plan_only_looks(empty: Cloud, lab: Lab) -> None:
    plan = await lab().plan(None)
    assert [step.name for step in plan][: len(PARTS)] == PARTS
    assert {step.state for step in plan[1 : len(PARTS)]} == {"planned"}
    asked = [request for request in empty.requests if request.host == "management.azure.com"]
    assert len(asked) > 10 and {request.method for request in asked} == {"GET"}


async def test_everything_is_made_once_and_found_again(empty: Cloud, lab: Lab) -> None:
    told: list[Event] = []
    await lab().provision(told.append)
    assert [name for name, state in ends(told).items() if state == "done"] == PARTS[1:]
    assert len(empty.made()) == len(set(empty.made())) == len(PARTS) - 1
    assert {each["tags"]["phichat"] for each in empty.resources.all.values()} == {"lab"}
    empty.forget()
    again: list[Event] = []
    await lab().provision(again.append)
    assert empty.made() == []
    assert set(ends(again).values()) == {"reused"}
    assert {step.state for step in await lab().plan(None)} == {"reused"}


async def test_the_identity_gets_what_it_needs_and_no_more(empty: Cloud, lab: Lab) -> None:
    await lab().provision(lambda event: None)
    given = {each["roleDefinitionId"][-36:]: each for each in empty.roles.assignments.values()}
    assert set(given) == set(ROLES)
    for role, kind in ROLES.items():
        assert kind in given[role]["scope"]
    await lab(contributor=True).provision(lambda event: None)
    (more,) = (each for each in empty.roles.assignments.values() if each["scope"].endswith("/phichat"))
    assert more["roleDefinitionId"].endswith("b24988ac-6180-42a0-ab88-20f7382dd24c")


async def test_the_ids_of_the_identity_are_looked_up(empty: Cloud, lab: Lab) -> None:
    here = lab()
    arm = here.account.arm
    place = await place_of(arm, here.settings)
    assert await identity_of(arm, place) is None
    await here.provision(lambda event: None)
    found = await identity_of(arm, place)
    (made,) = empty.resources.of("Microsoft.ManagedIdentity/userAssignedIdentities")
    assert found is not None and found.resource_id == made["id"]
    assert found.client_id == made["properties"]["clientId"]


async def test_a_subscription_that_is_new_is_registered_first(empty: Cloud, lab: Lab) -> None:
    empty.subscriptions.registered.clear()
    plan = await lab().plan(None)
    assert plan[0].state == "planned" and "Microsoft.Storage" in plan[0].detail
    await lab().provision(lambda event: None)
    assert sum("/register" in each for each in empty.made()) == 8


async def test_the_only_subscription_need_not_be_named(empty: Cloud, lab: Lab) -> None:
    await lab(subscription_id="").plan(None)
    empty.subscriptions.others.append({"subscriptionId": "1", "displayName": "Other", "state": "Enabled"})
    with pytest.raises(BackendError) as caught:
        await lab(subscription_id="").plan(None)
    assert f"Pay-As-You-Go ({SUBSCRIPTION}), Other (1)" in caught.value.message
    assert "subscription_id" in caught.value.hint


async def test_new_identities_and_roles_are_waited_for(empty: Cloud, lab: Lab) -> None:
    empty.roles.unknown, empty.roles.unspread, empty.slowly.looks = 3, 2, 3
    await lab().provision(lambda event: None)
    assert len(empty.roles.assignments) == 2
    assert all(empty.slowly.made(name) for name in empty.roles.assignments), "they can be relied on now"


async def test_a_role_that_somebody_gave_in_the_portal_is_enough(empty: Cloud, lab: Lab) -> None:
    await lab().provision(lambda event: None)
    for number, name in enumerate(list(empty.roles.assignments)):
        empty.roles.assignments[f"0000000{number}"] = empty.roles.assignments.pop(name)
    empty.forget()
    await lab().provision(lambda event: None)
    assert empty.made() == []


async def test_a_workspace_that_is_there_keeps_what_it_has(empty: Cloud, lab: Lab) -> None:
    await lab().provision(lambda event: None)
    (workspace,) = empty.resources.of("Microsoft.MachineLearningServices/workspaces")
    del workspace["properties"]["containerRegistry"]
    empty.roles.assignments.clear()
    empty.forget()
    told: list[Event] = []
    await lab().provision(told.append)
    assert ends(told)["role AcrPull"] == "planned", "the registry comes with the first image"
    assert len(empty.made()) == 1
    workspace["location"] = "West Europe"
    with pytest.raises(BackendError, match="is in westeurope, not in eastus2"):
        await lab().provision(told.append)


# Quota


async def test_missing_quota_is_asked_for_once(empty: Cloud, lab: Lab) -> None:
    empty.quotas.limits["standardNCADSA100v4Family"] = 0
    plan = await lab().plan(None)
    assert any(step.state == "planned" and "a limit of 24 vCPUs" in step.detail for step in plan)
    told: list[Event] = []
    await lab().provision(told.append)
    assert ends(told)["quota Standard NCADSA100v4 Family Cluster Dedicated vCPUs"] == "done"
    assert empty.quotas.limits["standardNCADSA100v4Family"] == 24
    await lab().provision(told.append)
    assert len(empty.quotas.requests) == 1


async def test_a_request_under_review_is_not_made_again(empty: Cloud, lab: Lab) -> None:
    empty.quotas.limits["standardNCADSA100v4Family"] = 0
    empty.quotas.decides = "InProgress"
    for _ in range(2):
        told: list[Event] = []
        await lab().provision(told.append)
        assert ends(told)["quota Standard NCADSA100v4 Family Cluster Dedicated vCPUs"] == "running"
    assert len(empty.quotas.requests) == 1


async def test_refused_quota_names_the_page_and_the_numbers(empty: Cloud, lab: Lab) -> None:
    empty.quotas.limits["standardNCADSA100v4Family"] = 0
    empty.quotas.decides = "Failed"
    told: list[Event] = []
    for _ in range(2):
        with pytest.raises(QuotaError) as caught:
            await lab().provision(told.append)
    assert "https://portal.azure.com/" in caught.value.hint
    wanted = "eastus2, Standard NCADSA100v4 Family Cluster Dedicated vCPUs, new limit 24"
    assert wanted in caught.value.hint
    assert ends(told)["role AcrPull"] == "reused", "all else is made"
    assert len(empty.quotas.requests) == 1, "not asked again on the same day"
    empty.quotas.requests[0]["at"] = "2026-01-01T00:00:00Z"
    with pytest.raises(QuotaError):
        await lab().provision(told.append)
    assert len(empty.quotas.requests) == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(401, "ExpiredAuthenticationToken", "It has expired."), AuthError),
        (error(400, "BadRequest", "This quota cannot be asked for."), QuotaError),
    ],
    ids=["expired", "no such request"],
)
async def test_what_keeps_a_request_from_being_made_is_told_as_what_it_is(
    empty: Cloud, lab: Lab, answer: Response, kind: type[BackendError]
) -> None:
    empty.quotas.limits["standardNCADSA100v4Family"] = 0
    empty.faults.append(Fault("PUT", "/quotas/", instead(answer)))
    with pytest.raises(kind):
        await lab().provision(lambda event: None)


async def test_the_region_is_full_whatever_the_family(empty: Cloud, lab: Lab) -> None:
    empty.quotas.region_limit = 10
    with pytest.raises(QuotaError) as caught:
        await lab().provision(lambda event: None)
    assert "Total Cluster Dedicated Regional vCPUs, new limit 32" in caught.value.hint
    assert empty.quotas.requests == []


async def test_a_location_without_the_size_says_so(empty: Cloud, lab: Lab) -> None:
    with pytest.raises(QuotaError, match="westus does not offer Standard_NC24ads_A100_v4"):
        await lab(location="westus").plan(None)


# Faults


@pytest.mark.parametrize(
    "act",
    [busy(429), busy(500), busy(503), drop_before, drop_after],
    ids=["429", "500", "503", "dropped before", "dropped after"],
)
async def test_what_passes_is_not_even_noticed(empty: Cloud, lab: Lab, act: object) -> None:
    for path in ("storageAccounts/", "Microsoft.MachineLearningServices/workspaces/", "roleAssignments/"):
        for method in ("GET", "PUT"):
            empty.faults.append(Fault(method, path, act))  # type: ignore[arg-type]
    told: list[Event] = []
    await lab().provision(told.append)
    assert "failed" not in ends(told).values()
    assert len(empty.resources.all) == 8 and len(empty.roles.assignments) == 2


async def test_what_fails_in_the_end_is_told_and_made_again(empty: Cloud, lab: Lab) -> None:
    empty.resources.fails["Microsoft.KeyVault/vaults"] = "VaultAlreadyExists"
    told: list[Event] = []
    with pytest.raises(BackendError, match="still holds the name"):
        await lab().provision(told.append)
    assert ends(told)["key vault"] == "failed" and "workspace" not in ends(told)
    await lab().provision(told.append)
    assert ends(told)["key vault"] == "done" and ends(told)["storage account"] == "reused"


async def test_who_is_not_allowed_is_told_what_and_where(empty: Cloud, lab: Lab) -> None:
    action = "Microsoft.Storage/storageAccounts/write"
    told = f"The client 'x' does not have authorization to perform action '{action}' over scope '/subs/x'."
    empty.faults.append(Fault("PUT", "storageAccounts/", instead(error(403, "AuthorizationFailed", told))))
    with pytest.raises(BackendError) as caught:
        await lab().provision(lambda event: None)
    assert f"You may not do {action} on /subs/x." in caught.value.message
    assert "Ask an owner" in caught.value.hint


@pytest.mark.parametrize("path", ["resourceGroups/phichat$", "workspaces/phichat$", "roleAssignments$"])
async def test_an_expired_sign_in_never_reads_as_not_there(empty: Cloud, lab: Lab, path: str) -> None:
    expired = instead(error(401, "ExpiredAuthenticationToken", "The access token expired."))
    empty.faults.append(Fault("GET", path, expired, times=9))
    with pytest.raises(AuthError) as caught:
        await lab().provision(lambda event: None)
    assert "The sign-in to Azure has expired." in caught.value.message
    before = {"resourceGroups/phichat$": 0, "workspaces/phichat$": 1, "roleAssignments$": 8}
    assert len(empty.made()) == before[path], "and nothing more was made"


@pytest.mark.parametrize(
    "answer",
    [
        error(404, "SubscriptionNotFound", "The subscription could not be found."),
        Response(404, b"<html>This is the proxy of your company.</html>"),
        error(403, "AuthorizationFailed", "You may not look."),
    ],
    ids=["no subscription", "a page of somebody else", "not allowed"],
)
async def test_only_not_found_reads_as_not_there(empty: Cloud, lab: Lab, answer: object) -> None:
    empty.faults.append(Fault("GET", "storageAccounts/", instead(answer), times=99))  # type: ignore[arg-type]
    with pytest.raises(BackendError):
        await lab().provision(lambda event: None)
    assert not empty.resources.of("Microsoft.Storage/storageAccounts")


async def test_a_wrong_secret_is_no_reason_to_make_anything(
    empty: Cloud, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    with pytest.raises(AuthError, match="secret of the application"):
        await lab().provision(lambda event: None)
    assert [request for request in empty.requests if request.host == "management.azure.com"] == []


async def test_tokens_that_expire_in_the_middle_are_renewed(empty: Cloud, lab: Lab) -> None:
    empty.login.lifetime = 1
    empty.after = lambda request: empty.login.expire() if request.method == "PUT" else None
    await lab().provision(lambda event: None)
    assert len(empty.resources.all) == 8


async def test_without_a_network_it_is_worth_trying_again(
    empty: Cloud, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await lab().plan(None)


async def test_nothing_is_lost_and_nothing_made_twice_whenever_the_client_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first mutating request, after the second, and so on for every one of them."""
    number, whole = 0, None
    while whole is None or number <= len(whole):
        with opened(tmp_path / str(number)) as (empty, environ):
            for name, value in environ.items():
                monkeypatch.setenv(name, value)
            empty.quotas.limits["standardNCADSA100v4Family"] = 0
            # What was begun is not made yet when the next process finds it.
            empty.slowly.looks = 4
            if number:
                await dies_after(empty, tmp_path, number)
            await survives(empty, tmp_path)
            whole = whole or sorted(empty.made())
            assert sorted(empty.made()) == whole, f"killed after request {number}"
            assert len(empty.quotas.requests) == 1 and len(empty.roles.assignments) == 2
        number += 1
    assert len(whole) == len(PARTS), "the parts, the quota, and no registration"


async def dies_after(empty: Cloud, folder: Path, number: int) -> None:
    """Provision in a process that is gone once Azure has done what the request of that number asks."""
    loop = asyncio.get_running_loop()

    def kill(request: Request) -> None:
        if request.mutating and len(empty.made()) == number:
            loop.call_soon_threadsafe(task.cancel)

    here = lab_of(folder)
    task = asyncio.create_task(here.provision(lambda event: None))
    empty.after = kill
    with pytest.raises(asyncio.CancelledError):
        await task
    empty.after = lambda request: None
    await here.aclose()


async def survives(empty: Cloud, folder: Path) -> None:
    here = lab_of(folder)
    await here.provision(lambda event: None)
    await here.aclose()
    assert not empty.unknown


async def test_no_secret_is_told(empty: Cloud, lab: Lab) -> None:
    told: list[Event] = []
    await lab().provision(told.append)
    text = "\n".join(dump(event) for event in told)
    leaky = error(400, "Strange", f"token {empty.login.new()} and {SECRET}")
    empty.faults.append(Fault("GET", "workspaces/", instead(leaky)))
    with pytest.raises(BackendError) as caught:
        await lab().provision(told.append)
    for token in empty.login.tokens:
        assert token not in text + caught.value.message
