"""The stand-in itself: the real SDK believes it, and it never pretends to know what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.identity import DefaultAzureCredential

from tests.azure.standin.cloud import SUBSCRIPTION, Cloud, opened
from tests.azure.standin.faults import Fault, busy, drop_after, drop_before

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Environment


@pytest.fixture(scope="module")
def client(azure: Cloud) -> Iterator[MLClient]:
    azure.workspaces.make("forest", "glade")
    credential = DefaultAzureCredential()
    yield _client(credential)
    credential.close()


def _client(credential: Any, **options: Any) -> MLClient:
    from azure.ai.ml import MLClient

    return MLClient(credential, SUBSCRIPTION, "forest", "glade", enable_telemetry=False, **options)


def _environment(version: str = "1") -> Environment:
    from azure.ai.ml.entities import Environment

    return Environment(name="wood", version=version, image="an-image")


def test_the_sdk_makes_and_finds_something(cloud: Cloud, client: MLClient) -> None:
    with pytest.raises(ResourceNotFoundError):
        client.environments.get("wood", "1")
    client.environments.create_or_update(_environment())
    assert client.environments.get("wood", "1").image == "an-image"
    assert [request.method for request in cloud.requests if request.mutating] == ["PUT"]


def test_who_signs_in_with_a_wrong_secret_gets_nothing(
    cloud: Cloud, client: MLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    with (
        DefaultAzureCredential(
            exclude_cli_credential=True,
            exclude_powershell_credential=True,
            exclude_developer_cli_credential=True,
            exclude_managed_identity_credential=True,
        ) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        credential.get_token("https://management.azure.com/.default")


def test_an_expired_token_is_refused(cloud: Cloud, client: MLClient) -> None:
    with pytest.raises(ClientAuthenticationError):
        _client(_Stale()).environments.get("wood", "1")


def test_a_token_that_ends_soon_is_renewed_by_the_sdk(
    cloud: Cloud, client: MLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud.login, "lifetime", 60)
    client.environments.create_or_update(_environment())
    monkeypatch.setattr(cloud.login, "tokens", set())
    with DefaultAzureCredential() as credential:
        for _ in range(2):
            cloud.login.expire()
            assert _client(credential).environments.get("wood", "1").version == "1"


class _Stale:
    """A sign-in that does not notice."""

    def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken("an.old.token", 2**31)


def test_a_fault_is_met_once_and_the_sdk_comes_again(cloud: Cloud, client: MLClient) -> None:
    client.environments.create_or_update(_environment())
    cloud.faults += [Fault("GET", "/environments/", busy(429)), Fault("GET", "/environments/", busy(503))]
    assert client.environments.get("wood", "1").version == "1"
    assert sum("/environments/" in str(request) for request in cloud.requests) == 4


@pytest.mark.parametrize("drop", [drop_before, drop_after])
def test_a_connection_is_dropped_before_or_after_the_server_acts(
    cloud: Cloud, client: MLClient, drop: Any
) -> None:
    version = drop.__name__.replace("_", "-")
    cloud.faults.append(Fault("PUT", "/environments/", drop))
    with DefaultAzureCredential() as credential, pytest.raises(AzureError):
        _client(credential, retry_total=0).environments.create_or_update(_environment(version))
    made = any(path.endswith(f"/wood/versions/{version}") for path in cloud.registered.found)
    assert made is (drop is drop_after)


def test_what_it_does_not_know_is_an_error_of_the_test(tmp_path: Path) -> None:
    with opened(tmp_path) as (cloud, environment):
        token = {"Authorization": f"Bearer {cloud.login.new()}"}
        with httpx.Client(
            proxy=environment["HTTPS_PROXY"], verify=_trusting(environment["SSL_CERT_FILE"])
        ) as http:
            answer = http.get("https://management.azure.com/subscriptions/x/unheard-of", headers=token)
    assert answer.status_code == 501
    assert cloud.unknown and "unheard-of" in cloud.unknown[0]


def _trusting(file: str) -> Any:
    import ssl

    return ssl.create_default_context(cafile=file)


def test_an_exception_inside_is_told_too(cloud: Cloud, client: MLClient) -> None:
    def broken(*arguments: Any, **place: str) -> Any:
        raise RuntimeError("mended by nobody")

    route = next(route for route in cloud._routes if route.handler.__name__ == "datastore")
    position = cloud._routes.index(route)
    cloud._routes[position] = type(route)(route.method, route.host, route.path, broken)
    try:
        with DefaultAzureCredential() as credential, pytest.raises(HttpResponseError):
            _client(credential, retry_total=0).datastores.get("workspaceblobstore")
        assert "mended by nobody" in cloud.unknown.pop()
    finally:
        cloud._routes[position] = route
