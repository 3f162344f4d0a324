"""What must be in place on Azure: looked at, never changed, each with its fix."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from phichat.backends.azureml import names, quota, quota_request, roles
from phichat.backends.azureml.credential import MANAGEMENT, ORDER
from phichat.backends.azureml.place import (
    GROUP_API,
    SUBSCRIPTIONS_API,
    WORKSPACE_API,
    Place,
    identity_of,
    place_of,
)
from phichat.backends.base import Check
from phichat.errors import BackendError

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Arm, Json
    from phichat.backends.azureml.settings import AzureMLSettings

NEEDED = ("azure.ai.ml", "azure.identity")
NAMES = ("subscription_id", "tenant_id", "resource_group", "workspace", "identity", "compute", "location")
PROVISION = "phichat provision"
BENEFITS = frozenset({"FreeTrial", "AzureForStudents", "AzurePass", "DreamSpark", "MSDN", "MPN", "BizSpark"})
"""The offers under which Azure gives no GPUs: what was given, not what is paid for.

They are quota ids without their date, as in https://learn.microsoft.com/azure/cost-management-billing/costs/understand-cost-mgt-data
"""
STORAGE_API = "2021-12-02"
"""The version of the blob service's own protocol; anybody may ask, and is told no."""


async def checks(arm: Arm, settings: AzureMLSettings) -> list[Check]:
    """Everything that the other methods need, as far as it can be looked at: what comes first comes first."""
    found = [packages(), *_names(settings)]
    if not all(check.ok for check in found):
        return found
    signed = await _told("sign-in", lambda: _sign_in(arm))
    found.append(signed)
    if not signed.ok:
        return found
    place, offer = await _place(arm, settings, found)
    if place is None:
        return found
    workspace = await _looked_up(arm, place, found)
    found += await asyncio.gather(
        _told("permissions", lambda: _permissions(arm, place, workspace)),
        _told("identity", lambda: _identity(arm, place, workspace)),
        _told("storage", lambda: _storage(workspace)),
    )
    return [*found, *await _quota(arm, place, settings, offer)]


async def _told(name: str, look: Callable[[], Awaitable[Check]]) -> Check:
    """A check; one that cannot be made has failed, and says why."""
    try:
        return await look()
    except BackendError as error:
        return Check(name=name, ok=False, detail=error.message, fix=error.hint or "phichat check")


def packages() -> Check:
    """Whether the extra `azure` is installed; nothing is imported."""
    missing = [name.replace(".", "-") for name in NEEDED if not _installed(name)]
    told = f"missing: {', '.join(missing)}" if missing else "azure-ai-ml, azure-identity"
    fix = "pip install 'phichat[azure]'" if missing else ""
    return Check(name="packages", ok=not missing, detail=told, fix=fix)


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _names(settings: AzureMLSettings) -> list[Check]:
    told = [
        problem
        for key in NAMES
        if (value := getattr(settings, key)) and (problem := names.problem(key, value))
    ]
    if not told:
        return [Check(name="names", ok=True, detail="Azure takes them all")]
    fix = "Correct them in phichat.toml, under [backends.azureml]."
    return [Check(name="names", ok=False, detail=each, fix=fix) for each in told]


async def _sign_in(arm: Arm) -> Check:
    with arm.translated("sign in"):
        await asyncio.to_thread(arm.sign_in.get_token, MANAGEMENT)
    return Check(name="sign-in", ok=True, detail=f"{arm.sign_in.who} (asked in order: {', '.join(ORDER)})")


async def _place(arm: Arm, settings: AzureMLSettings, found: list[Check]) -> tuple[Place | None, str]:
    """Where it happens, if that is usable, and the offer under which the subscription was made."""
    try:
        place = await place_of(arm, settings)
        told = await arm.get(place.subscription_path, SUBSCRIPTIONS_API, "look at the subscription")
    except BackendError as error:
        found.append(Check(name="subscription", ok=False, detail=error.message, fix=error.hint or PROVISION))
        return None, ""
    state = told.get("state", "Enabled")
    ok = state in ("Enabled", "Warned", "PastDue")
    fix = "" if ok else "Enable it at https://portal.azure.com, Subscriptions."
    detail = f"{told.get('displayName', place.subscription)}, {state.lower()}"
    found.append(Check(name="subscription", ok=ok, detail=detail, fix=fix))
    offer = str((told.get("subscriptionPolicies") or {}).get("quotaId", ""))
    return place if ok else None, offer.partition("_")[0]


async def _looked_up(arm: Arm, place: Place, found: list[Check]) -> Json | None:
    try:
        doing = f"look up the workspace {place.workspace}"
        workspace = await arm.find(place.workspace_path, WORKSPACE_API, doing)
    except BackendError as error:
        found.append(Check(name="workspace", ok=False, detail=error.message, fix=error.hint or PROVISION))
        return None
    found.append(_workspace(place, workspace))
    return workspace


def _workspace(place: Place, workspace: Json | None) -> Check:
    if workspace is None:
        return Check(name="workspace", ok=False, detail=f"{place.workspace} is not there yet", fix=PROVISION)
    there = str(workspace.get("location", place.location)).replace(" ", "").lower()
    state = str(workspace.get("properties", {}).get("provisioningState", "Succeeded"))
    if there != place.location:
        told = f"{place.workspace} is in {there}, not in {place.location}"
        return Check(
            name="workspace", ok=False, detail=told, fix=f"Set backends.azureml.location to {there}."
        )
    ok = state == "Succeeded"
    fix = "" if ok else PROVISION
    return Check(name="workspace", ok=ok, detail=f"{place.workspace} in {there}, {state.lower()}", fix=fix)


async def _permissions(arm: Arm, place: Place, workspace: Json | None) -> Check:
    """Whether the person may do what comes next: make the place, or use it."""
    steps = ("provision",) if workspace is None else ("train", "deploy")
    scope = place.workspace_path if workspace is not None else await _around(arm, place)
    path = f"{scope}/providers/Microsoft.Authorization/permissions"
    given = await arm.all(path, roles.API, "look at your permissions")
    for step in steps:
        lacking = roles.lacking(given, step)
        if lacking:
            told = f"to {step} you also need {', '.join(lacking)}"
            fix = f"Ask an owner of {place.group} for the role {roles.ADVICE[step]} there."
            return Check(name="permissions", ok=False, detail=told, fix=fix)
    return Check(name="permissions", ok=True, detail=f"you may {' and '.join(steps)}")


async def _around(arm: Arm, place: Place) -> str:
    """The resource group, if it is there, else the subscription: where provision would begin."""
    found = await arm.find(place.group_path, GROUP_API, f"look up the resource group {place.group}")
    return place.group_path if found is not None else place.subscription_path


async def _identity(arm: Arm, place: Place, workspace: Json | None) -> Check:
    """Whether the identity of endpoints is there, with the roles that it needs."""
    identity = await identity_of(arm, place)
    if identity is None:
        return Check(name="identity", ok=False, detail=f"{place.identity} is not there yet", fix=PROVISION)
    used = (workspace or {}).get("properties", {})
    wanted = {
        "Storage Blob Data Reader": used.get("storageAccount"),
        "AcrPull": used.get("containerRegistry"),
    }
    missing = [
        role
        for role, scope in wanted.items()
        if scope and not await roles.has_role(arm, scope, identity.principal_id, role)
    ]
    if missing:
        told = f"{place.identity} lacks {' and '.join(missing)}"
        return Check(name="identity", ok=False, detail=told, fix=PROVISION)
    later = "" if used.get("containerRegistry") else "; the registry comes with the first image"
    return Check(name="identity", ok=True, detail=f"{place.identity}, client {identity.client_id}{later}")


async def _storage(workspace: Json | None) -> Check:
    """Whether the workspace's blobs can be reached from here; without a key: any answer but one is good."""
    account = str((workspace or {}).get("properties", {}).get("storageAccount", "")).rpartition("/")[2]
    if not account:
        return Check(name="storage", ok=False, detail="there is none without a workspace", fix=PROVISION)
    import httpx

    host = f"{account}.blob.core.windows.net"
    try:
        async with httpx.AsyncClient(timeout=10) as client:
            headers = {"x-ms-version": STORAGE_API}
            query = {"restype": "service", "comp": "properties"}
            answer = await client.get(f"https://{host}/", params=query, headers=headers)
    except httpx.HTTPError as error:
        told = f"{host} cannot be reached: {type(error).__name__}"
        return Check(
            name="storage",
            ok=False,
            detail=told,
            fix="Check the network and HTTPS_PROXY, then: phichat check",
        )
    if answer.headers.get("x-ms-error-code") == "AuthorizationFailure":
        told = f"the firewall of {account} refuses connections from here"
        fix = "Allow your address under the storage account's Networking, or work from its network."
        return Check(name="storage", ok=False, detail=told, fix=fix)
    return Check(name="storage", ok=True, detail=f"{host} answers")


async def _quota(arm: Arm, place: Place, settings: AzureMLSettings, offer: str) -> list[Check]:
    try:
        fits = await quota.quota_fits(arm, place, settings)
    except BackendError as error:
        return [Check(name="quota", ok=False, detail=error.message, fix=error.hint or PROVISION)]
    return [_fit(place, fit, offer) for fit in fits]


def _fit(place: Place, fit: quota.Fit, offer: str) -> Check:
    if not fit.short:
        return Check(name="quota", ok=True, detail=str(fit))
    if fit.limit == 0 and offer in BENEFITS:
        told = f"{fit}; Azure gives GPUs to subscriptions that are paid for, and this one is {offer}"
        fix = 'train_size = "Standard_E16s_v3" under [backends.azureml], or a pay-as-you-go subscription'
        return Check(name="quota", ok=False, detail=told, fix=fix)
    if fit.family == quota.TOTAL:
        return Check(name="quota", ok=False, detail=str(fit), fix=quota_request.page(place, fit))
    fix = f"{PROVISION}, which asks for it; or ask at {quota_request.page(place, fit)}"
    return Check(name="quota", ok=False, detail=str(fit), fix=fix)
