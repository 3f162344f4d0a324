"""Signing in on the wire: who is signed in already, or a person with a code; without `az`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from phichat.backends.azureml.credential import MANAGEMENT, SignIn, login_command
from phichat.errors import AuthError
from phichat.events import Event, Status
from tests.azure.places import Lab
from tests.azure.standin.cloud import TENANT, Cloud


@pytest.fixture
def nobody(empty: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cloud:
    """Azure on a machine without an application's secret, and without any of the programs that sign in."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    # The address at which a machine of Azure's asks who it is; a test may not connect to it.
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")
    return empty


def test_the_application_of_the_environment_is_asked_first(empty: Cloud) -> None:
    sign_in = SignIn(TENANT)
    assert sign_in.who == ""
    assert sign_in.get_token(MANAGEMENT).token in empty.login.tokens
    assert sign_in.get_token_info(MANAGEMENT).token in empty.login.tokens
    assert sign_in.who == "EnvironmentCredential"
    sign_in.close()


async def test_nobody_is_signed_in_and_az_is_not_there(nobody: Cloud, lab: Lab) -> None:
    with pytest.raises(AuthError) as caught:
        await lab().plan(None)
    assert caught.value.message == "You are not signed in to Azure."
    assert caught.value.hint == "phichat login"


def test_the_command_that_mends_it_is_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert login_command("contoso.com") == "phichat login"
    az = tmp_path / "az"
    az.touch(mode=0o755)
    assert login_command() == "az login"
    assert login_command("contoso.com") == "az login --tenant contoso.com"


async def test_a_person_signs_in_with_a_code(nobody: Cloud, lab: Lab) -> None:
    here, told = lab(), list[Event]()
    nobody.login.waits = 2
    assert not await here.sign_in(told.append), "this machine has no keyring of the operating system"
    first, last = told
    assert isinstance(first, Status) and isinstance(last, Status)
    assert "https://login.microsoft.com/device" in first.detail and "ABCD1234E" in first.detail
    assert last.detail == "signed in as ada@contoso.com"
    assert (await here.plan(None))[0].state == "reused", "and is signed in from now on"
    asked = [request for request in nobody.requests if request.path.endswith("/devicecode")]
    assert [request.path.split("/")[1] for request in asked] == ["organizations"]


async def test_a_keyring_keeps_the_sign_in_for_other_processes(
    nobody: Cloud, lab: Lab, keyring: None, home: Path
) -> None:
    assert await lab().sign_in(lambda event: None)
    nobody.forget()
    here = lab()
    assert (await here.plan(None))[0].state == "reused"
    assert here.account.sign_in.who == "DeviceCodeCredential"
    assert not any("devicecode" in request.path for request in nobody.requests)
    (record,) = (home / "phichat").rglob("azure-sign-in.json")
    text = record.read_text(encoding="utf-8")
    assert "ada@contoso.com" in text
    assert not any(secret in text for secret in (*nobody.login.tokens, "a-refresh-token"))


async def test_without_the_keyring_a_kept_sign_in_is_left_to_the_others(
    empty: Cloud, lab: Lab, home: Path
) -> None:
    record = home / "phichat" / "data" / "azure-sign-in.json"
    record.parent.mkdir(parents=True)
    told = {"authority": "login.microsoftonline.com", "clientId": "c", "homeAccountId": "h"}
    told |= {"tenantId": TENANT, "username": "ada@contoso.com", "version": "1.0"}
    record.write_text(json.dumps(told), encoding="utf-8")
    here = lab()
    assert (await here.plan(None))[0].state == "reused"
    assert here.account.sign_in.who == "EnvironmentCredential"


async def test_a_kept_sign_in_that_has_expired_is_mended_with_one_command(
    nobody: Cloud, lab: Lab, keyring: None
) -> None:
    await lab().sign_in(lambda event: None)
    nobody.login.forgotten = True
    with pytest.raises(AuthError) as caught:
        await lab().plan(None)
    assert "The sign-in to Azure has expired." in caught.value.message
    assert caught.value.hint == "phichat login"


async def test_the_tenant_of_the_settings_is_the_one_to_sign_in_to(nobody: Cloud, lab: Lab) -> None:
    await lab(tenant_id=TENANT).sign_in(lambda event: None)
    (asked,) = [request for request in nobody.requests if request.path.endswith("/devicecode")]
    assert asked.path.split("/")[1] == TENANT


async def test_a_code_that_nobody_enters(nobody: Cloud, lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    nobody.login.declines = True
    with pytest.raises(AuthError) as caught:
        await lab().sign_in(lambda event: None)
    assert caught.value.hint == "phichat login"
    assert caplog.text == "", "nothing is written beside what is told"


async def test_waiting_for_a_person_does_not_hold_up_the_rest(nobody: Cloud, lab: Lab) -> None:
    here, told = lab(), list[Event]()
    nobody.login.waits = 3
    task = asyncio.create_task(here.sign_in(told.append))
    await asyncio.sleep(0)
    assert not task.done()
    await task


async def test_a_check_asks_nobody_for_a_code(nobody: Cloud, lab: Lab) -> None:
    found = [check for check in await lab().check() if not check.ok]
    assert [check.name for check in found] == ["sign-in"]
    assert not any("devicecode" in request.path for request in nobody.requests)


async def test_who_does_not_wait_any_more_leaves_nothing_that_waits(nobody: Cloud, lab: Lab) -> None:
    here, told = lab(), list[Event]()
    nobody.login.waits = 2000
    asked, loop = asyncio.Event(), asyncio.get_running_loop()

    def report(event: Event) -> None:
        told.append(event)
        loop.call_soon_threadsafe(asked.set)

    task = asyncio.create_task(here.sign_in(report))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.get_running_loop().shutdown_default_executor()
    assert nobody.login.waits > 0, "it did not ask to the end"
    assert len(told) == 1


async def test_without_a_keyring_a_sign_in_lasts_as_long_as_the_process(nobody: Cloud, lab: Lab) -> None:
    first = lab()
    assert not await first.sign_in(lambda event: None)
    await first.aclose()
    nobody.forget()
    assert (await lab().plan(None))[0].state == "reused"
    assert not any("devicecode" in request.path for request in nobody.requests)
