"""What Azure says when something fails, in plain words: messages as people have met them."""

from __future__ import annotations

import json
from pathlib import Path
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
)

MET = json.loads((Path(__file__).parent / "messages.json").read_text(encoding="utf-8"))
"""Messages, each with the error that it becomes, and words of its cause and of its hint."""
NO_QUOTA = next(met["message"] for met in MET if "accomodate" in met["message"])


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


@pytest.mark.parametrize("met", MET, ids=[met["message"][:40] for met in MET])
def test_what_azure_says_is_told_in_plain_words(met: dict[str, str]) -> None:
    told = diagnose(met["message"])
    assert told is not None and type(told).__name__ == met["error"]
    assert met["cause"] in told.message
    assert met["hint"] in told.hint


@pytest.mark.parametrize(
    "line",
    [
        "step 429 of 1200: loss 2.1",
        "Loading checkpoint shards: 100%",
        "(ResourceNotFound) The Resource 'Microsoft.MachineLearningServices/workspaces/lab/jobs/phi' under "
        "resource group 'lab' was not found.",
    ],
)
def test_a_line_that_tells_of_no_failure_is_none(line: str) -> None:
    assert diagnose(line) is None


def test_every_failure_has_a_cause_and_a_next_step() -> None:
    for failure in FAILURES:
        assert failure.cause.endswith(".") and failure.hint, failure.pattern


def test_an_error_of_the_sdk_names_what_failed() -> None:
    error = refused(400, "BadRequest", NO_QUOTA)
    told = translate(error, "make the cluster gpu")
    assert type(told) is QuotaError
    assert told.message.startswith(
        "Azure could not make the cluster gpu. Your quota for this size is 0 vCPUs"
    )


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
