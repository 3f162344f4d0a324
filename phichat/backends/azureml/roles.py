"""What the identity of endpoints may do, and what the person signed in may do: roles and permissions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from phichat.backends.azureml import arm as waiting
from phichat.backends.azureml.failures import has_code
from phichat.backends.azureml.names import assignment_name
from phichat.errors import BackendError, UnavailableError

if TYPE_CHECKING:
    from phichat.backends.azureml.arm import Arm
    from phichat.backends.azureml.place import Place

API = "2022-04-01"
ROLES = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
}
"""Azure's own ids of them, the same everywhere."""
OF_ENDPOINTS = {"Storage Blob Data Reader": "storageAccount", "AcrPull": "containerRegistry"}
"""What an endpoint's identity needs, and on which of the workspace's resources."""
LOOKS = 60
"""How often to look until Azure knows a new identity, or has spread a new role: five minutes."""

ML = "Microsoft.MachineLearningServices/workspaces"
NEEDED: Mapping[str, tuple[str, ...]] = {
    "provision": (
        "Microsoft.Resources/subscriptions/resourceGroups/write",
        f"{ML}/write",
        "Microsoft.ManagedIdentity/userAssignedIdentities/write",
        "Microsoft.Authorization/roleAssignments/write",
    ),
    "train": (
        f"{ML}/computes/write",
        f"{ML}/environments/versions/write",
        f"{ML}/jobs/write",
        f"{ML}/jobs/cancel/action",
        f"{ML}/datastores/listSecrets/action",
    ),
    "deploy": (
        f"{ML}/models/versions/write",
        f"{ML}/onlineEndpoints/write",
        f"{ML}/onlineEndpoints/deployments/write",
        f"{ML}/onlineEndpoints/listKeys/action",
        "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    ),
}
"""What a person must be allowed to do for each step."""
ADVICE = {
    "provision": "Owner, or Contributor and User Access Administrator,",
    "train": "Contributor",
    "deploy": "Contributor and Managed Identity Operator",
}
"""The role of Azure's own that allows it."""


def allowed(permissions: Iterable[Mapping[str, Any]], action: str) -> bool:
    """Whether any role that a person has allows an action."""
    return any(
        _matches(role.get("actions", ()), action) and not _matches(role.get("notActions", ()), action)
        for role in permissions
    )


def lacking(permissions: Iterable[Mapping[str, Any]], step: str) -> list[str]:
    """The actions that a step needs and no role allows."""
    roles = list(permissions)
    return [action for action in NEEDED[step] if not allowed(roles, action)]


async def has_role(arm: Arm, scope: str, principal: str, role: str) -> bool:
    """Whether an identity has a role on a resource, there or further up, whoever gave it."""
    found = await arm.all(
        f"{scope}/providers/Microsoft.Authorization/roleAssignments",
        API,
        f"list the roles on {scope.rpartition('/')[2]}",
        **{"$filter": f"principalId eq '{principal}'"},
    )
    return any(_grants(each.get("properties", {}), scope, role) for each in found)


async def give_role(arm: Arm, place: Place, scope: str, principal: str, role: str) -> None:
    """Give an identity a role on a resource, and wait until Azure has spread it.

    Raises:
        BackendError: the person may not give roles.
    """
    name = assignment_name(scope, principal, role)
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"
    definition = f"{place.subscription_path}/providers/Microsoft.Authorization/roleDefinitions/{ROLES[role]}"
    body = {
        "properties": {
            "roleDefinitionId": definition,
            "principalId": principal,
            "principalType": "ServicePrincipal",
        }
    }
    doing = f"give the identity the role {role}"
    for look in range(LOOKS):
        try:
            await arm.ask("PUT", path, API, body, doing)
            break
        except BackendError as error:
            if has_code(error, "RoleAssignmentExists"):
                break
            if not has_code(error, "PrincipalNotFound") or look == LOOKS - 1:
                raise
            await waiting.pause(waiting.WAIT_S)
    for _ in range(LOOKS):
        if await has_role(arm, scope, principal, role):
            return
        await waiting.pause(waiting.WAIT_S)
    raise UnavailableError(f"Azure has not spread the role {role} yet.", "phichat provision")


def _matches(patterns: Iterable[str], action: str) -> bool:
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action, re.IGNORECASE) for pattern in patterns
    )


def _grants(assignment: Mapping[str, Any], scope: str, role: str) -> bool:
    given, wanted = str(assignment.get("scope", scope)).lower().rstrip("/"), scope.lower()
    above = wanted == given or wanted.startswith(f"{given}/")
    return above and str(assignment.get("roleDefinitionId", "")).lower().endswith(ROLES[role])
