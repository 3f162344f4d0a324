"""The failures of Azure that people meet: the real messages, what each means, and the next command."""

from __future__ import annotations

from typing import NamedTuple

from phichat.errors import (
    AuthError,
    BackendError,
    NotFoundError,
    QuotaError,
    UnavailableError,
    UnsupportedError,
)


class Failure(NamedTuple):
    """One message of Azure's, what it means and what to do; `{name}` is a group of the pattern."""

    pattern: str
    cause: str
    hint: str
    error: type[BackendError] = BackendError


LOGIN = "{login}"
CHECK = "phichat check"
PROVISION = "phichat provision"

FAILURES: tuple[Failure, ...] = (
    # Signing in.
    Failure(
        r"AADSTS(?:700082|70043|50173|50078|50132|700084)|ExpiredAuthenticationToken"
        r"|refresh token has expired|Interactive authentication is required",
        "The sign-in to Azure has expired.",
        LOGIN,
        AuthError,
    ),
    Failure(
        r"AADSTS(?:50076|50079|50158|53003)",
        "Azure wants you to sign in again with a second factor.",
        LOGIN,
        AuthError,
    ),
    Failure(
        r"AADSTS(?:7000215|7000222)",
        "The secret of the application that signs in to Azure is wrong or has expired.",
        "Set AZURE_CLIENT_SECRET to a new one, then: phichat check",
        AuthError,
    ),
    Failure(
        r"AADSTS700016",
        "The tenant does not know the application that AZURE_CLIENT_ID names.",
        "Correct AZURE_CLIENT_ID and AZURE_TENANT_ID, then: phichat check",
        AuthError,
    ),
    Failure(
        r"AADSTS90002|AADSTS900023|Tenant '[^']*' not found",
        "There is no such tenant.",
        "Correct backends.azureml.tenant_id or AZURE_TENANT_ID, then: phichat check",
        AuthError,
    ),
    Failure(
        r"InvalidAuthenticationTokenTenant|access token is from the wrong issuer"
        r"|not configured to acquire tokens for tenant",
        "You are signed in to another tenant than the one that owns the subscription.",
        LOGIN,
        AuthError,
    ),
    Failure(
        r"Failed to (?:establish a new connection|resolve)|Max retries exceeded|Cannot connect to proxy"
        r"|NameResolutionError|Name or service not known|getaddrinfo failed|Connection refused"
        r"|Temporary failure in name resolution|Remote end closed connection|Connection aborted",
        "Azure cannot be reached.",
        "Check the network, HTTPS_PROXY and the proxy's certificate, then repeat the command.",
        UnavailableError,
    ),
    Failure(
        r"CERTIFICATE_VERIFY_FAILED",
        "The certificate that Azure, or a proxy before it, shows is not trusted here.",
        "Set REQUESTS_CA_BUNDLE and SSL_CERT_FILE to your organisation's certificates, then: phichat check",
        UnavailableError,
    ),
    Failure(
        r"Server failed to authenticate the request|Signature (?:not valid|did not match|fields)",
        "The storage does not take the key: it has expired, or this machine's clock is wrong.",
        "Set the clock, then repeat the command.",
        UnavailableError,
    ),
    Failure(
        r"Attempted credentials|CredentialUnavailable|Please run 'az login'|AuthenticationFailed"
        r"|InvalidAuthenticationToken",
        "You are not signed in to Azure.",
        LOGIN,
        AuthError,
    ),
    # What may be done, and where.
    Failure(
        r"AuthorizationFailed.*?perform action '(?P<action>[^']+)'(?:.*?scope '(?P<scope>[^']+)')?",
        "You may not do {action} on {scope}.",
        "Ask an owner of it for a role that allows this, then: phichat check",
    ),
    Failure(
        r"LinkedAuthorizationFailed",
        "You may not use something that is linked to this, such as the identity or the registry.",
        "Ask an owner of the resource group for the role Managed Identity Operator, then: phichat check",
    ),
    Failure(
        r"RequestDisallowedByPolicy|DisallowedByPolicy|BlockVMSKU",
        "A policy of your organisation forbids this.",
        "Ask whoever manages the subscription, or choose another size or location: phichat check",
    ),
    Failure(
        r"SubscriptionNotFound|InvalidSubscriptionId",
        "There is no such subscription, or this sign-in cannot see it.",
        "Correct backends.azureml.subscription_id, or sign in to its tenant, then: phichat check",
    ),
    Failure(
        r"ReadOnlyDisabledSubscription|DisabledSubscription|subscription.{0,40}is disabled",
        "The subscription is disabled.",
        "Enable it at https://portal.azure.com, Subscriptions, then: phichat check",
    ),
    Failure(
        r"MissingSubscriptionRegistration|not registered to use namespace '(?P<namespace>[^']+)'",
        "The subscription has never used {namespace}: it has to be registered once.",
        PROVISION,
    ),
    Failure(
        r"LocationNotAvailableForResourceType|NoRegisteredProviderFound"
        r"|provided location '[^']*' is not available",
        "Azure does not offer this in that location.",
        "Choose another backends.azureml.location, then: phichat check",
    ),
    Failure(
        r"RoleAssignmentUpdateNotPermitted|PrincipalNotFound",
        "Azure does not know the identity yet: a new one takes some minutes.",
        PROVISION,
        UnavailableError,
    ),
    # Room.
    Failure(
        r"total vCPU quota of (?P<quota>\d+).*?maps to (?P<needed>\d+) vCPUs",
        "Your quota for this size is {quota} vCPUs, and a node needs {needed}.",
        "phichat provision, which asks for more; or choose another backends.azureml.train_size.",
        QuotaError,
    ),
    Failure(
        r"[Cc]urrent usage/limit: (?P<used>\d+)/(?P<limit>\d+).*?[Aa]dditional needed: (?P<needed>\d+)",
        "The quota for this size is used up: {used} of {limit} vCPUs, and {needed} more are needed.",
        "phichat provision, which asks for more; or choose another size.",
        QuotaError,
    ),
    Failure(
        r"ResourceNotAvailableForOffer|QuotaNotAvailableForResource|ContactSupport",
        "Azure does not grant this quota automatically to this kind of subscription.",
        "Ask for it at https://ml.azure.com (Quota), or choose another size or location.",
        QuotaError,
    ),
    Failure(
        r"is not a supported VM size|UnsupportedVMSize|InvalidVMSize",
        "Azure ML does not take this size here: the location does not offer it, or there is no quota at all.",
        "phichat check, to see which of the two; then phichat provision, to ask for quota.",
        QuotaError,
    ),
    Failure(
        r"AllocationFail|OverconstrainedAllocation|OutOfCapacity|SkuNotAvailable|ZonalAllocation"
        r"|[Nn]ot enough capacity|[Ii]nsufficient capacity",
        "Azure has no free machine of this size in that location now.",
        "Repeat the command later, or choose another size or location.",
        UnavailableError,
    ),
    Failure(
        r"OutOfQuota|QuotaExceeded|ClusterCoreQuotaReached"
        r"|exceed\w* (?:the )?(?:approved|total)[^.]{0,60}[Qq]uota"
        r"|[Nn]ot enough (?:cluster CPU )?quota|ClusterMinNodesExceedCoreQuota",
        "The quota for this size is used up.",
        "phichat provision, which asks for more; phichat status, to see what is alive.",
        QuotaError,
    ),
    # Names.
    Failure(
        r"[Ss]oft[- ]?[Dd]eleted?|VaultAlreadyExists|SoftDeletedVaultDoesNotExist",
        "Something deleted lately still holds the name: Azure keeps it for some days.",
        "Choose another name, or purge the deleted one in https://portal.azure.com",
    ),
    Failure(
        r"NameUnavailable|NameNotAvailable|StorageAccountAlreadyTaken|StorageAccountAlreadyExists|AlreadyInUse"
        r"|RegistryNameNotAvailable|[Nn]ame.{0,80}(?:already taken|not available|must be unique)",
        "Somebody has taken the name already.",
        "Choose another name in phichat.toml, then: phichat check",
    ),
    Failure(
        r"Another ?[Oo]peration ?(?:is )?[Ii]n ?[Pp]rogress|OperationInProgress",
        "Azure is still busy with an earlier change of the same thing.",
        "Repeat the command in a few minutes.",
        UnavailableError,
    ),
    Failure(
        r"ResourceGroupNotFound|ParentResourceNotFound"
        r"|Resource 'Microsoft\.MachineLearningServices/workspaces/[^/']+' under resource group",
        "The workspace, or its resource group, is not there yet.",
        f"{PROVISION}, or correct the names: {CHECK}",
        NotFoundError,
    ),
    # Jobs.
    Failure(
        r"ImageBuildFail|[Ii]mage build.{0,60}fail|EnvironmentBuildFail"
        r"|[Ff]ailed to build (?:the )?(?:docker )?image|CondaEnvException|ResolutionImpossible",
        "The image of the job's environment could not be built.",
        "phichat logs, for the log of the build.",
    ),
    Failure(
        r"logged-models|LoggedModel",
        "MLflow on Azure ML does not know the models of MLflow 3: log_model is answered 404.",
        "Write the model to the job's output, as trainer/train.py does.",
        UnsupportedError,
    ),
    Failure(
        r"INVALID_PARAMETER_VALUE|max(?:imum)? (?:number of )?param(?:eter)?s|[Ll]imit of \d+ params",
        "Azure ML keeps at most 200 parameters of a run.",
        "Log fewer parameters to MLflow.",
    ),
    Failure(
        r"AuthorizationPermissionMismatch|KeyBasedAuthenticationNotPermitted",
        "This sign-in may not read the workspace's storage.",
        "Ask an owner for the role Storage Blob Data Contributor on the storage account, then: phichat check",
    ),
    Failure(
        r"AuthorizationFailure|not authorized to perform this operation|PublicAccessNotPermitted",
        "The workspace's storage refuses connections from here: its firewall is closed.",
        "Allow your address in the storage account's Networking, or work from its network: phichat check",
    ),
    Failure(
        r"[Pp]reempt|[Ee]victed",
        "Azure took the machine away.",
        "phichat train, which goes on from the last checkpoint.",
        UnavailableError,
    ),
    Failure(
        r"No space left on device|DiskFull|[Dd]isk (?:is )?full|not enough disk space|ErrNo 28",
        "The node's disk is full.",
        "Choose a train_size with a larger disk, or fewer checkpoints (--save-steps), then: phichat train",
    ),
    Failure(
        r"CUDA out of memory|OutOfMemoryError|OOMKilled|[Oo]ut of memory|[Ee]xit code:? 137|exitcode 137",
        "The model and its batch did not fit into memory.",
        "phichat train --batch-size 1, or --method lora, or a larger train_size.",
        QuotaError,
    ),
    Failure(
        r"[Ff]ailed to pull image|ImagePull|acr.{0,40}unauthorized|authentication required",
        "The image could not be pulled from the container registry: the identity lacks the role AcrPull.",
        PROVISION,
    ),
    Failure(
        r"[Ll]iveness probe failed|[Rr]eadiness probe failed|container has crashed|ResourceNotReady",
        "The model's server did not come up in its container.",
        "phichat logs, for what it wrote.",
    ),
    Failure(
        r"TooManyRequests|SubscriptionRequestsThrottled|(?:status|code|HTTP|error)[ :(]{1,2}429\b",
        "Azure is asked too often.",
        "Repeat the command in a minute.",
        UnavailableError,
    ),
)
"""The first that fits is told: what is special comes before what is general."""
