"""`phichat web`: the real application in a browser's place, and nobody in who has not the key."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.cli.conftest import Run


@pytest.fixture
def address(project: Path) -> Iterator[str]:
    """Where a running `phichat web` says that the application is."""
    server = subprocess.Popen(
        [sys.executable, "-m", "phichat", "web", "--port", "0"],
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.send_signal(signal.SIGINT)
    _, told = server.communicate(timeout=30)
    assert server.returncode == 0
    assert "Traceback" not in told


async def shown(socket: aiohttp.ClientWebSocketResponse, text: str) -> None:
    """Read what the application draws until a text is there."""
    seen = ""
    async with asyncio.timeout(60):
        while text not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen):
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), seen[-500:]
            seen += message.data.decode() if isinstance(message.data, bytes) else message.data


async def test_the_application_answers_in_a_browser(address: str) -> None:
    where = urlsplit(address)
    assert where.hostname == "127.0.0.1"
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name, as browsers keep them
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        page = await browser.get(address)
        assert "key" not in page.url.query, "the key stays in the history of the browser"
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        text = await page.text()
        assert not re.search(r"https?://", text), "the page fetches something from elsewhere"
        for part in re.findall(r"[\"(](/static/[^\")]+)", text):
            assert (await browser.get(f"http://{where.netloc}{part}")).status == 200
        async with browser.ws_connect(f"ws://{where.netloc}/ws?width=80&height=24") as socket:
            await shown(socket, "Ask something")
            for key in "Hello":
                await socket.send_str(json.dumps(["stdin", key]))
            await socket.send_str(json.dumps(["stdin", "\r"]))
            await shown(socket, "1 token")


async def test_without_the_key_nobody_gets_in(address: str) -> None:
    where = urlsplit(address)
    async with aiohttp.ClientSession() as stranger:
        for path in ("", "/?key=", "/?key=guess", "/static/js/textual.js", "/ws"):
            answer = await stranger.get(
                f"http://{where.netloc}{path}", cookies={f"phichat-{where.port}": "x"}
            )
            assert answer.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await stranger.ws_connect(f"ws://{where.netloc}/ws")


async def test_a_page_of_another_server_is_not_let_in_with_the_cookie(address: str) -> None:
    where = urlsplit(address)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        assert (await browser.get(address)).status == 200
        terminal = f"ws://{where.netloc}/ws?width=80&height=24"
        for origin in (f"http://127.0.0.1:{(where.port or 0) + 1}", f"http://localhost:{where.port}", "null"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await browser.ws_connect(terminal, origin=origin)
            assert refused.value.status == 403
            answer = await browser.get(f"http://{where.netloc}/", headers={"Origin": origin})
            assert (answer.status, "Only the page" in await answer.text()) == (403, True)
        async with browser.ws_connect(terminal, origin=f"http://{where.netloc}") as socket:
            await shown(socket, "Ask something")


def test_a_port_that_is_taken_is_said(phichat: Run, project: Path, address: str) -> None:
    port = urlsplit(address).port
    done = phichat("web", "--port", str(port))
    assert (done.code, done.out) == (2, "")
    assert f"Port {port} cannot be had: Address already in use" in done.err


def test_without_the_library_it_says_what_to_install(
    phichat: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    done = phichat("web")
    assert done.code == 1
    assert "pip install 'phichat[web]'" in done.err
