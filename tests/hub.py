"""The Hugging Face hub as its clients see it, on this machine: one repository, and whatever goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from tests.wire import serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_PIECE = 1 << 12


@dataclass
class Sent:
    """One answer with a file's bytes."""

    name: str
    start: int
    count: int = 0
    authorization: str | None = None


@dataclass
class Hub:
    """What the hub has and how it behaves; change it while it runs."""

    repo: str
    files: dict[str, bytes]
    url: str = ""
    refusal: tuple[int, str] | None = None
    """Answer the API with this status and error code."""
    breaks: list[int] = field(default_factory=list)
    """The next answers with weights break off after so many bytes; those after them are whole."""
    gated: bool = False
    """Show the repository, but give its files to nobody."""
    hold_after: int | None = None
    """Send no more of the weights than so many bytes, and leave the connection open."""
    damaged: str = ""
    """The file whose bytes are not the listed ones."""
    sent: list[Sent] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Requests that the real hub's client would not make; there must be none."""

    def bytes_sent(self, name: str) -> int:
        """How many bytes of a file have left the server, repeated ones included."""
        return sum(each.count for each in self.sent if each.name == name)

    async def answer(self, request: Request) -> Response:
        """What the hub says to a request."""
        path = request.url.path
        api = f"/api/models/{self.repo}/"
        if path.startswith("/api/models/") and self.refusal:
            status, code = self.refusal
            return JSONResponse({"error": code}, status, headers={"X-Error-Code": code})
        if path in (f"{api}revision/main", f"{api}revision/{COMMIT}"):
            return JSONResponse({"id": self.repo, "sha": COMMIT, "siblings": self._siblings()})
        if path == f"{api}tree/{COMMIT}":
            return JSONResponse([self._entry(name, content) for name, content in self.files.items()])
        if path.startswith("/api/models/") and not path.startswith(api):
            return JSONResponse({"error": "RepoNotFound"}, 404, headers={"X-Error-Code": "RepoNotFound"})
        if path.startswith(f"{api}revision/"):
            return JSONResponse(
                {"error": "RevisionNotFound"}, 404, headers={"X-Error-Code": "RevisionNotFound"}
            )
        resolve = f"/{self.repo}/resolve/{COMMIT}/"
        if path.startswith(resolve) and path.removeprefix(resolve) in self.files:
            return self._resolve(request, path.removeprefix(resolve))
        if path.startswith("/cdn/") and path.removeprefix("/cdn/") in self.files:
            return self._send(request, path.removeprefix("/cdn/"))
        self.unknown.append(f"{request.method} {request.url}")
        return Response("the real hub's client does not ask for this", 501)

    def _siblings(self) -> list[dict[str, object]]:
        return [self._sibling(name, content) for name, content in self.files.items()]

    def _sibling(self, name: str, content: bytes) -> dict[str, object]:
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": blob}
        if _is_large(name):
            sha256 = hashlib.sha256(content).hexdigest()
            sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return sibling

    def _entry(self, name: str, content: bytes) -> dict[str, object]:
        """A file as the listing of a tree has it."""
        sibling = self._sibling(name, content)
        entry = {"type": "file", "path": name, "size": len(content), "oid": sibling["blobId"]}
        if "lfs" in sibling:
            entry["lfs"] = {
                "oid": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                "pointerSize": 134,
            }
        return entry

    def _resolve(self, request: Request, name: str) -> Response:
        """Large files are elsewhere: another host, which must not see the access token."""
        if self.gated:
            return JSONResponse({"error": "GatedRepo"}, 403, headers={"X-Error-Code": "GatedRepo"})
        content = self.files[name]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        if not _is_large(name):
            return self._send(request, name, headers)
        headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": hashlib.sha256(content).hexdigest()}
        return RedirectResponse(self.url.replace("127.0.0.1", "localhost") + f"/cdn/{name}", 302, headers)

    def _send(self, request: Request, name: str, headers: dict[str, str] | None = None) -> Response:
        content = self.files[name]
        if name == self.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        asked = request.headers.get("range", "")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if request.method == "HEAD":
            return Response(headers={"Content-Length": str(len(content))} | (headers or {}))
        sent = Sent(name, start, authorization=request.headers.get("authorization"))
        self.sent.append(sent)
        size = len(content)
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(size - start)} | (headers or {})
        if asked:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        return StreamingResponse(self._pieces(content[start:], sent), 206 if asked else 200, headers)

    async def _pieces(self, content: bytes, sent: Sent) -> AsyncIterator[bytes]:
        large = _is_large(sent.name)
        limit = min(self.breaks.pop(0) if large and self.breaks else len(content), len(content))
        for at in range(0, limit, _PIECE):
            while large and self.hold_after is not None and sent.count >= self.hold_after:  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.01)
            piece = content[at : min(at + _PIECE, limit)]
            sent.count += len(piece)
            yield piece
        if limit < len(content):
            raise ConnectionResetError("the connection breaks here")


def _is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


@contextlib.contextmanager
def hub_with(model: Path, repo: str = "tiny/phi-3") -> Iterator[Hub]:
    """A hub that has the model of a folder, with what a real repository has besides."""
    files = {path.name: path.read_bytes() for path in sorted(model.iterdir())}
    config = json.loads(files["config.json"])
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"}
    files["config.json"] = json.dumps(config).encode()
    files["modeling_phi3.py"] = b"raise SystemExit('code of a repository has been run')\n"
    files["pytorch_model.bin"] = b"never wanted"
    files["README.md"] = b"# Tiny\n"
    hub = Hub(repo, files)
    with serving(hub.answer, "GET", "HEAD") as hub.url:
        yield hub
    assert not hub.unknown, hub.unknown
