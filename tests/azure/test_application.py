"""The application on Azure, from an expired sign-in to a chat and back to nothing, by keyboard alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from phichat.backends.base import TrainSpec
from phichat.screens.train import work as train_work
from phichat.workflow import Project
from tests.azure.journey import journey
from tests.azure.standin.cloud import Cloud
from tests.azure.test_whole_way import asking, shares


@pytest.fixture
async def expired(empty: Cloud, keyring: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cloud:
    """Azure on a machine where somebody had signed in by code, long ago, and nobody else is signed in."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    async with Project.open(tmp_path, flags={"backend": "azureml"}) as project:
        await project.sign_in(lambda event: None)
    empty.login.forgotten = True
    empty.login.waits = 10_000
    empty.forget()
    monkeypatch.setattr(train_work, "LOOK_S", 0.05)
    return empty


@pytest.mark.timeout(300)
async def test_from_nothing_to_a_chat_and_back_to_nothing(
    expired: Cloud, tmp_path: Path, tiny_phi3: Path
) -> None:
    async with journey(expired, tmp_path / "lab", tiny_phi3) as at:
        await at.opened()
        await at.checked()
        await at.signed_in()
        await at.provisioned()
        await at.prepared()
        await at.planned()
        await at.trained()
        await at.cooled()
        await at.evaluated()
        found = at.project.training.evaluation(at.run)
        assert found is not None and Path(found.report).is_file()
        model = await at.fetched()
        assert (model / "model.safetensors").is_file()
        ran = at.run
        assert isinstance(ran.spec, TrainSpec) and ran.spec.max_usd == 50.0
        first = at.run.name
        old = await at.deployed()
        assert await at.chatted() == f"{first} on azureml, deployment {old.partition('/')[2]}"
        await at.trained_again()
        access = await at.project.access()
        env = f"OPENAI_BASE_URL={access.base_url}\nOPENAI_API_KEY={access.key}"
        with asking(env) as statuses:
            new = await at.deployed()
            before = len(statuses)
            assert shares(at.cloud) == {new: 100}
            assert new.partition("/")[2] in await at.chatted("And why?")
            assert await at.rolled_back() == old
            assert shares(at.cloud) == {old: 100}
        assert 0 < before < len(statuses) and set(statuses) == {200}
        assert at.cloud.scoring.asked[new.partition("/")[2]] > 3, "by its tests and the chat not alone"
        await at.doubted()
        await at.taken_down()
        assert not at.cloud.endpoints.found and not at.cloud.compute.found
        seen = at.pilot.app.export_screenshot()
        await at.press("ctrl+q")
        assert at.pilot.app._exit, "nothing costs: nobody is asked"
    # The keyring of the operating system is a file here; everything else may be read by anybody.
    files = [file for file in tmp_path.rglob("*") if file.is_file() and ".IdentityService" not in file.parts]
    ours = [file for file in files if not file.is_relative_to(expired.folder)]
    written = b"".join([seen.encode(), *(file.read_bytes() for file in ours)])
    for secret in (access.key, "a-refresh-token", *expired.login.tokens, *expired.blobs.signatures):
        assert secret.encode() not in written
