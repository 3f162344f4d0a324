"""What Azure says when something fails, in plain words: messages as people have met them, in public issues."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)

from phichat.backends.azureml.failure_table import FAILURES
from phichat.backends.azureml.failures import clean, diagnose, request_id, translate
from phichat.errors import (
    AuthError,
    BackendError,
    NotFoundError,
    QuotaError,
    UnavailableError,
    UnsupportedError,
)

MET: list[tuple[str, type[BackendError], str, str]] = [
    (
        "AADSTS700082: The refresh token has expired due to inactivity. The token was issued on …",
        AuthError,
        "The sign-in to Azure has expired.",
        "az login",
    ),
    (
        "AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor",
        AuthError,
        "second factor",
        "az login",
    ),
    (
        "DefaultAzureCredential failed to retrieve a token from the included credentials.\nAttempted credentials:\n"
        "\tEnvironmentCredential: Authentication failed: AADSTS7000215: Invalid client secret provided.",
        AuthError,
        "secret of the application",
        "AZURE_CLIENT_SECRET",
    ),
    (
        "Attempted credentials:\n\tEnvironmentCredential: EnvironmentCredential authentication unavailable.\n"
        "\tAzureCliCredential: Please run 'az login' to set up an account",
        AuthError,
        "You are not signed in to Azure.",
        "az login",
    ),
    (
        "Attempted credentials:\n\tEnvironmentCredential: HTTPSConnectionPool(host='login.microsoftonline.com', "
        "port=443): Max retries exceeded with url: /",
        UnavailableError,
        "Azure cannot be reached.",
        "HTTPS_PROXY",
    ),
    (
        "InvalidAuthenticationTokenTenant The access token is from the wrong issuer",
        AuthError,
        "another tenant",
        "az login",
    ),
    (
        "AuthorizationFailed: The client 'a@b.c' with object id '1' does not have authorization to perform action "
        "'Microsoft.MachineLearningServices/workspaces/write' over scope '/subscriptions/1/resourceGroups/rg' or "
        "the scope is invalid.",
        BackendError,
        "Microsoft.MachineLearningServices/workspaces/write on /subscriptions/1/resourceGroups/rg",
        "Ask an owner",
    ),
    (
        "BadRequest: The specified subscription has a total vCPU quota of 0 and cannot accomodate for at least 1 "
        "requested managed compute node which maps to 24 vCPUs",
        QuotaError,
        "Your quota for this size is 0 vCPUs, and a node needs 24.",
        "phichat provision",
    ),
    (
        "(BadRequest) Not enough quota available for Standard_F4s_v2 in SubscriptionId 1. Current usage/limit: 0/6. "
        "Additional needed: 8",
        QuotaError,
        "0 of 6 vCPUs, and 8 more are needed",
        "phichat provision",
    ),
    (
        "OutOfQuota: Not enough cluster CPU quota for Standard_E4s_v3",
        QuotaError,
        "used up",
        "phichat status",
    ),
    (
        "InvalidPropertyValue: The specified value Standard_NC24ads_A100_v4 for property Cluster.Properties.VMSize "
        "is not a supported VM size.",
        QuotaError,
        "there is no quota at all",
        "phichat check",
    ),
    (
        "AllocationFailed: Allocation failed. We do not have sufficient capacity for the requested VM size",
        UnavailableError,
        "no free machine",
        "later",
    ),
    ("ImageBuildFailure: Image build failed. For more details, check the log", BackendError, "image", "logs"),
    ("CondaEnvException: Pip failed", BackendError, "could not be built", "phichat logs"),
    (
        "StorageAccountAlreadyTaken: The storage account named x is already taken.",
        BackendError,
        "taken the name",
        "phichat check",
    ),
    (
        "A vault with the same name already exists in deleted state: VaultAlreadyExists",
        BackendError,
        "still holds the name",
        "purge",
    ),
    (
        "API request to endpoint /api/2.0/mlflow/logged-models failed with error code 404 != 200",
        UnsupportedError,
        "log_model is answered 404",
        "output",
    ),
    (
        "mlflow.exceptions.RestException: INVALID_PARAMETER_VALUE: Response: {'Error': {'Code': 'ValidationError'}}",
        BackendError,
        "200 parameters",
        "fewer",
    ),
    (
        "This request is not authorized to perform this operation using this permission. "
        "ErrorCode:AuthorizationPermissionMismatch",
        BackendError,
        "may not read the workspace's storage",
        "Storage Blob Data Contributor",
    ),
    (
        "This request is not authorized to perform this operation. ErrorCode:AuthorizationFailure",
        BackendError,
        "firewall",
        "Networking",
    ),
    ("The node was preempted", UnavailableError, "took the machine away", "phichat train"),
    ("OSError: [Errno 28] No space left on device", BackendError, "disk is full", "train_size"),
    (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        QuotaError,
        "did not fit into memory",
        "--batch-size 1",
    ),
    (
        "MissingSubscriptionRegistration: The subscription is not registered to use namespace "
        "'Microsoft.MachineLearningServices'.",
        BackendError,
        "has to be registered",
        "phichat provision",
    ),
    (
        "SubscriptionNotFound: The subscription '1' could not be found.",
        BackendError,
        "no such subscription",
        "subscription_id",
    ),
    (
        "User container has crashed or terminated: Liveness probe failed: HTTP probe failed with statuscode: 502",
        BackendError,
        "did not come up",
        "phichat logs",
    ),
    ("ResourceNotAvailableForOffer", QuotaError, "not grant", "ml.azure.com/quota"),
]


class Answer:
    """The answer of a service, as far as azure-core looks at it."""

    def __init__(self, status: int, body: object = None, **headers: str) -> None:
        self.status_code = status
        self.reason = "because"
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self._text = body if isinstance(body, str) else json.dumps(body)

    def text(self) -> str:
        return self._text


def refused(status: int, code: str, message: str, kind: type[HttpResponseError] = HttpResponseError) -> Any:
    answer: Any = Answer(
        status, {"error": {"code": code, "message": message}}, x_ms_request_id="11111111-2222"
    )
    return kind(response=answer)


@pytest.mark.parametrize(
    ("message", "kind", "cause", "hint"), MET, ids=[message[:40] for message, *_ in MET]
)
def test_what_azure_says_is_told_in_plain_words(
    message: str, kind: type[BackendError], cause: str, hint: str
) -> None:
    told = diagnose(message)
    assert told is not None and type(told) is kind
    assert cause in told.message
    assert hint in told.hint


def test_every_failure_has_a_cause_and_a_next_step() -> None:
    for failure in FAILURES:
        assert failure.cause.endswith(".") and failure.hint, failure.pattern


def test_an_error_of_the_sdk_names_what_failed() -> None:
    error = refused(400, "BadRequest", MET[7][0])
    told = translate(error, "make the cluster gpu")
    assert type(told) is QuotaError
    assert told.message.startswith("Azure could not make the cluster gpu. Your quota for this size is 0 vCPUs")


def test_what_nobody_knows_is_shown_whole_with_the_request_id() -> None:
    told = translate(refused(400, "Curious", "The moon is in the wrong house."), "make the workspace")
    assert type(told) is BackendError
    assert "Curious" in told.message and "The moon is in the wrong house" in told.message
    assert "(request 11111111-2222)" in told.message
    assert told.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthError),
        (404, BackendError),
        (408, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
    ],
)
def test_an_unknown_error_is_sorted_by_its_status(status: int, kind: type[BackendError]) -> None:
    assert type(translate(refused(status, "Curious", "?"), "do it")) is kind


def test_only_resource_not_found_is_not_found() -> None:
    there = refused(404, "Curious", "No such thing.", ResourceNotFoundError)
    assert type(translate(there, "look")) is NotFoundError
    expired = refused(401, "ExpiredAuthenticationToken", "The token has expired.", ClientAuthenticationError)
    assert type(translate(expired, "look")) is AuthError
    away = ServiceRequestError("Failed to establish a new connection")
    assert type(translate(away, "look")) is UnavailableError


def test_the_sign_in_is_mended_with_the_command_of_this_machine() -> None:
    told = translate(ClientAuthenticationError("AADSTS700082: expired"), "look", "az login --tenant x")
    assert told.hint == "az login --tenant x"


def test_the_code_inside_counts() -> None:
    body = {"error": {"code": "Wrapper", "message": "?", "details": [{"code": "OutOfQuota", "message": "!"}]}}
    answer: Any = Answer(200, body)
    assert type(translate(HttpResponseError(response=answer), "deploy")) is QuotaError


def test_nothing_that_opens_a_door_is_told() -> None:
    secret = "https://x.blob.core.windows.net/a?sv=1&sig=abc%2Fdef&se=2"
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
    text = f"\x1b[31m{secret} Bearer abcdefghijkl AccountKey=verysecret== {token}\x1b[0m"
    told = translate(refused(400, "Curious", text), "upload").message
    for part in ("abc%2Fdef", "abcdefghijkl", "verysecret", token, "\x1b"):
        assert part not in told
        assert part not in clean(text)
    assert "sv=1" in told


def test_the_request_id_is_found_where_there_is_one() -> None:
    assert request_id(refused(400, "a", "b")) == "11111111-2222"
    assert request_id(ValueError()) == ""
