"""Models of the Hugging Face hub, over the wire: whole, broken off, missing, refused, damaged."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from phichat import models
from phichat.errors import AuthError, BackendError, ConfigError, NotFoundError, QuotaError, UnavailableError
from phichat.events import Event, Progress
from phichat.models import cache as cache_of
from tests.conftest import Children
from tests.hub import COMMIT, Hub, hub_with

WEIGHTS = "model.safetensors"
REPO = "tiny/phi-3"


@pytest.fixture
def hub(tiny_phi3: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with hub_with(tiny_phi3, REPO) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def ignore(event: Event) -> None:
    """Nobody listens."""


async def pull(cache: Path, name: str = REPO, report: Callable[[Event], None] = ignore) -> Path:
    return await models.pull(models.resolve(name), cache, report)


def part(cache: Path) -> Path:
    return cache_of.partial_folder(models.resolve(REPO).key, cache) / f"{WEIGHTS}.part"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what other processes do
            await asyncio.sleep(0.01)


async def test_brings_the_whole_model_and_nothing_else(hub: Hub, cache: Path, tiny_phi3: Path) -> None:
    events: list[Event] = []
    folder = await pull(cache, report=events.append)
    names = {path.name for path in folder.iterdir()} - {cache_of.MARKER}
    assert names == {path.name for path in tiny_phi3.iterdir()}
    assert (folder / WEIGHTS).read_bytes() == (tiny_phi3 / WEIGHTS).read_bytes()
    progress = [event for event in events if isinstance(event, Progress) and "Downloading" in event.what]
    assert progress[-1].done == progress[-1].total == sum(len(hub.files[name]) for name in names)


async def test_the_token_stays_at_the_hub(hub: Hub, cache: Path) -> None:
    await pull(cache)
    seen = {each.name: each.authorization for each in hub.sent}
    assert seen["config.json"] == "Bearer hf_secret"
    assert seen[WEIGHTS] is None


async def test_what_is_cached_needs_no_network(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await pull(cache)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    asked = len(hub.sent)
    assert await pull(cache) == folder
    assert len(hub.sent) == asked
    [known] = models.installed(cache)
    assert (known.name, known.path, known.origin) == (REPO, folder, f"{REPO}@{COMMIT}")


async def test_a_connection_that_breaks_is_taken_up_where_it_stopped(hub: Hub, cache: Path) -> None:
    hub.breaks = [100_000, 150_000]
    folder = await pull(cache)
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert [each.start for each in hub.sent if each.name == WEIGHTS] == [0, 100_000, 250_000]


async def test_one_that_breaks_for_good_is_taken_up_by_the_next_call(hub: Hub, cache: Path) -> None:
    hub.breaks = [200_000, 0, 0, 0]
    with pytest.raises(UnavailableError, match=r"model\.safetensors broke off"):
        await pull(cache)
    assert models.cached(models.resolve(REPO), cache) is None
    await pull(cache)
    assert hub.bytes_sent(WEIGHTS) == len(hub.files[WEIGHTS])
    assert hub.bytes_sent("tokenizer.json") == len(hub.files["tokenizer.json"])


async def test_cancelling_ends_the_processes_and_the_next_call_goes_on(
    hub: Hub, cache: Path, children: Children
) -> None:
    hub.hold_after = 200_000
    task = asyncio.create_task(pull(cache))
    await until(lambda: part(cache).exists() and part(cache).stat().st_size >= 200_000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children()
    assert models.cached(models.resolve(REPO), cache) is None
    kept, hub.hold_after = part(cache).stat().st_size, None
    await pull(cache)
    assert [each.start for each in hub.sent if each.name == WEIGHTS] == [0, kept]


async def test_a_killed_process_is_told_and_the_next_call_goes_on(
    hub: Hub, cache: Path, children: Children
) -> None:
    hub.hold_after = 200_000
    task = asyncio.create_task(pull(cache))
    await until(lambda: part(cache).exists() and part(cache).stat().st_size >= 200_000)
    for child in children():
        child.kill()
    with pytest.raises(BackendError, match="broke off"):
        await task
    kept, hub.hold_after = part(cache).stat().st_size, None
    folder = await pull(cache)
    assert [each.start for each in hub.sent if each.name == WEIGHTS] == [0, kept]
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert not list((cache / "models" / ".partial").iterdir())


async def test_two_at_once_download_once(hub: Hub, cache: Path) -> None:
    hub.hold_after = 200_000
    waiting: list[Event] = []
    first = asyncio.create_task(pull(cache))
    await until(lambda: part(cache).exists())
    second = asyncio.create_task(pull(cache, report=waiting.append))
    await until(lambda: bool(waiting))
    hub.hold_after = None
    assert await first == await second
    assert hub.bytes_sent(WEIGHTS) == len(hub.files[WEIGHTS])
    assert isinstance(waiting[0], Progress)
    assert waiting[0].what.startswith("Waiting for")


async def test_a_new_commit_does_not_mix_with_an_old_part(hub: Hub, cache: Path) -> None:
    hub.breaks = [200_000, 0, 0, 0]
    with pytest.raises(UnavailableError):
        await pull(cache)
    (part(cache).parent / "commit").write_text("f" * 40)
    await pull(cache)
    assert [each.start for each in hub.sent if each.name == WEIGHTS][-1] == 0


async def test_a_damaged_file_is_refused_and_fetched_anew(hub: Hub, cache: Path) -> None:
    hub.damaged = WEIGHTS
    with pytest.raises(BackendError, match=r"model\.safetensors arrived damaged"):
        await pull(cache)
    hub.damaged = ""
    assert (await pull(cache) / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


async def test_a_small_damaged_file_is_noticed_too(hub: Hub, cache: Path) -> None:
    hub.damaged = "tokenizer_config.json"
    with pytest.raises(BackendError, match=r"tokenizer_config\.json arrived damaged"):
        await pull(cache)


async def test_what_other_programs_have_downloaded_is_used(hub: Hub, cache: Path, home: Path) -> None:
    snapshot = home / "huggingface" / "hub" / "models--tiny--phi-3" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / WEIGHTS).write_bytes(hub.files[WEIGHTS])
    folder = await pull(cache)
    assert hub.bytes_sent(WEIGHTS) == 0
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


async def test_a_pinned_revision_is_its_own_model(hub: Hub, cache: Path) -> None:
    pinned = await pull(cache, f"{REPO}@{COMMIT}")
    assert models.cached(models.resolve(REPO), cache) is None
    assert models.cached(models.resolve(f"{REPO}@{COMMIT}"), cache) == pinned


@pytest.mark.parametrize(
    ("name", "refusal", "error", "message", "hint"),
    [
        ("tiny/phi-9", None, NotFoundError, "The hub has no model tiny/phi-9", "Check the name"),
        (f"{REPO}@v9", None, NotFoundError, "tiny/phi-3 has no revision v9", "branch"),
        (
            REPO,
            (403, "GatedRepo"),
            AuthError,
            "licence that you have not accepted",
            "phichat secret set hf_token",
        ),
        (REPO, (401, "RepoNotFound"), NotFoundError, "or it is private", "phichat secret set hf_token"),
        (REPO, (403, "Forbidden"), AuthError, "does not let you download", "phichat secret set hf_token"),
        (REPO, (503, ""), UnavailableError, "cannot answer now", "in a minute"),
    ],
)
async def test_each_refusal_is_one_sentence_with_the_next_step(
    hub: Hub,
    cache: Path,
    name: str,
    refusal: tuple[int, str] | None,
    error: type[BackendError],
    message: str,
    hint: str,
) -> None:
    hub.refusal = refusal
    with pytest.raises(error) as raised:
        await pull(cache, name)
    assert message in raised.value.message
    assert "\n" not in raised.value.message
    assert hint in raised.value.hint


async def test_a_licence_that_was_not_accepted_is_told(hub: Hub, cache: Path) -> None:
    hub.gated = True
    with pytest.raises(AuthError, match="licence that you have not accepted") as raised:
        await pull(cache)
    assert f"{hub.url}/{REPO}" in raised.value.hint


async def test_without_a_network_it_says_what_is_there_instead(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pull(cache)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UnavailableError, match="the hub cannot be reached") as raised:
        await pull(cache, "tiny/other")
    assert f"On this machine there is: {REPO}." in raised.value.hint


async def test_offline_mode_is_respected(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnavailableError, match="HF_HUB_OFFLINE"):
        await pull(cache)
    assert not hub.sent


async def test_weights_that_can_hold_code_are_refused(hub: Hub, cache: Path) -> None:
    del hub.files[WEIGHTS]
    with pytest.raises(BackendError, match="no weights in the safetensors format"):
        await pull(cache)
    assert not hub.sent


async def test_a_model_that_needs_its_own_code_is_refused_before_its_weights_come(
    hub: Hub, cache: Path
) -> None:
    hub.files["config.json"] = json.dumps({"model_type": "phi3small", "auto_map": {}}).encode()
    with pytest.raises(BackendError, match="needs code from its own repository"):
        await pull(cache)
    assert hub.bytes_sent(WEIGHTS) == 0


async def test_an_adapter_is_told_from_a_model(hub: Hub, cache: Path) -> None:
    hub.files["adapter_config.json"] = hub.files.pop("config.json")
    with pytest.raises(BackendError, match="is an adapter, not a whole model"):
        await pull(cache)


async def test_only_the_weights_of_the_index_come(hub: Hub, cache: Path) -> None:
    hub.files["model-00001-of-00001.safetensors"] = hub.files[WEIGHTS]
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00001.safetensors"}}
    hub.files["model.safetensors.index.json"] = json.dumps(index).encode()
    folder = await pull(cache)
    assert {path.name for path in folder.glob("*.safetensors")} == {"model-00001-of-00001.safetensors"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device without room")
async def test_a_full_disk_is_told(hub: Hub, cache: Path) -> None:
    part(cache).parent.mkdir(parents=True)
    (part(cache).parent / "commit").write_text(COMMIT)
    part(cache).symlink_to("/dev/full")
    with pytest.raises(QuotaError, match="is full") as raised:
        await pull(cache)
    assert "PHICHAT_CACHE" in raised.value.hint
    part(cache).unlink()
    await pull(cache)


async def test_a_folder_that_needs_its_own_code_is_refused(tiny_phi3: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(tiny_phi3, folder)
    config = json.loads((folder / "config.json").read_text()) | {"auto_map": {}}
    (folder / "config.json").write_text(json.dumps(config))
    assert await pull(tmp_path, str(folder)) == folder
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "phi3small"}))
    with pytest.raises(BackendError, match="needs code from its own repository"):
        await pull(tmp_path, str(folder))


async def test_removing_takes_parts_and_all(hub: Hub, cache: Path) -> None:
    ref = models.resolve(REPO)
    assert not models.remove(ref, cache)
    folder = await pull(cache)
    assert models.remove(ref, cache)
    assert not folder.exists()
    assert models.installed(cache) == []
    hub.breaks = [200_000, 0, 0, 0]
    with pytest.raises(UnavailableError):
        await pull(cache)
    assert models.remove(ref, cache)
    assert not part(cache).exists()


async def test_a_model_that_is_coming_is_not_removed(hub: Hub, cache: Path) -> None:
    hub.hold_after = 200_000
    task = asyncio.create_task(pull(cache))
    await until(lambda: part(cache).exists())
    with pytest.raises(BackendError, match="is being downloaded"):
        models.remove(models.resolve(REPO), cache)
    hub.hold_after = None
    await task


async def test_the_stand_in_speaks_to_the_real_client(hub: Hub, tmp_path: Path) -> None:
    code = "from huggingface_hub import snapshot_download as get; import sys; print(get(sys.argv[1]))"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, REPO), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    folder = Path(out.decode().strip())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == hub.files


def test_a_hub_model_has_a_name_and_a_key_of_its_own() -> None:
    refs = [models.resolve(name) for name in (REPO, f"{REPO}@v1", f"{REPO}@refs/pr/1", "tiny/phi-4")]
    assert len({ref.key for ref in refs}) == 4
    assert all("/" not in ref.key for ref in refs)
    with pytest.raises(ConfigError):
        models.resolve("tiny/phi-3/more")
