"""Blob storage: files on disk, so that a job's mounted folders and its blobs are the same bytes."""

from __future__ import annotations

import base64
import hashlib
import secrets
import shutil
import xml.etree.ElementTree as ET
from email.utils import formatdate
from pathlib import Path

from tests.azure.standin.services.login import Login
from tests.azure.standin.wire import Request, Response, Service, route

HOST = r"(?P<account>[a-z0-9]+)\.blob\.core\.windows\.net"
BLOB = r"/(?P<container>[^/]+)/(?P<name>.+)"
Key = tuple[str, str, str]


class Blobs(Service):
    """Accounts, containers and blobs; whoever has a signature, an account key or a token may do anything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signatures: set[str] = set()
        self.metadata: dict[Key, dict[str, str]] = {}
        self.types: dict[Key, str] = {}
        self._blocks: dict[Key, dict[str, bytes]] = {}

    def place(self, account: str, container: str, name: str = "") -> Path:
        """Where a blob, or a folder of blobs, lies on disk."""
        return self.folder / account / container / name

    def sign(self) -> str:
        """A new shared access signature, as the query of a URL."""
        signature = secrets.token_urlsafe(32)
        self.signatures.add(signature)
        return f"sv=2024-11-04&se=2099-01-01T00%3A00%3A00Z&sr=c&sp=racwdl&sig={signature}"

    def expire(self) -> None:
        """No signature that was given out is good any more."""
        self.signatures.clear()

    def refusal(self, request: Request, login: Login) -> Response | None:
        """What a request for a blob without a key is told; None for all others."""
        if not request.host.endswith(".blob.core.windows.net"):
            return None
        authorization = request.headers.get("authorization", "")
        if request.query.get("sig") in self.signatures or authorization.startswith("SharedKey "):
            return None
        if authorization and request.bearer in login.tokens:
            return None
        if not authorization and "sig" not in request.query:
            return failure(401, "NoAuthenticationInformation")
        return failure(403, "AuthenticationFailed")

    @route("GET", HOST, r"/(?P<container>[^/]+)")
    def listed(self, request: Request, container: str) -> Response:
        account, prefix = request.host.partition(".")[0], request.query.get("prefix", "")
        top = self.place(account, container)
        root = ET.Element("EnumerationResults", ContainerName=container)
        blobs = ET.SubElement(root, "Blobs")
        for path in sorted(path for path in top.rglob("*") if path.is_file()):
            name = path.relative_to(top).as_posix()
            if name.startswith(prefix):
                _describe(ET.SubElement(blobs, "Blob"), name, path)
        ET.SubElement(root, "NextMarker")
        body = b'<?xml version="1.0" encoding="utf-8"?>' + ET.tostring(root)
        return Response(200, body, {"Content-Type": "application/xml"})

    @route("HEAD", HOST, BLOB)
    @route("GET", HOST, BLOB)
    def read(self, request: Request, container: str, name: str) -> Response:
        account = request.host.partition(".")[0]
        path = self.place(account, container, name)
        if not path.is_file():
            return failure(404, "BlobNotFound")
        size = path.stat().st_size
        headers = self._headers((account, container, name), path)
        if request.method == "HEAD":
            return Response(200, b"", {**headers, "Content-Length": str(size)})
        wanted = request.headers.get("x-ms-range") or request.headers.get("range")
        if not wanted:
            return Response(200, path.read_bytes(), headers)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or size), size - 1)
        if start >= size:
            return failure(416, "InvalidRange", **{"Content-Range": f"bytes */{size}"})
        with path.open("rb") as file:
            file.seek(start)
            body = file.read(end - start + 1)
        return Response(
            206, body, {**headers, "Content-Range": f"bytes {start}-{start + len(body) - 1}/{size}"}
        )

    @route("PUT", HOST, BLOB)
    def write(self, request: Request, container: str, name: str) -> Response:
        account, comp = request.host.partition(".")[0], request.query.get("comp")
        key = (account, container, name)
        path = self.place(*key)
        if comp == "metadata":
            if not path.is_file():
                return failure(404, "BlobNotFound")
            self.metadata[key] = _told(request)
            return Response(200, b"", self._headers(key, path))
        if comp == "block":
            self._blocks.setdefault(key, {})[request.query["blockid"]] = request.body
            return Response(201)
        if request.headers.get("if-none-match") == "*" and path.is_file():
            return failure(409, "BlobAlreadyExists")
        body = self._whole(key, request.body) if comp == "blocklist" else request.body
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        self.metadata[key] = _told(request)
        return Response(201, b"", self._headers(key, path))

    @route("DELETE", HOST, BLOB)
    def delete(self, request: Request, container: str, name: str) -> Response:
        path = self.place(request.host.partition(".")[0], container, name)
        if not path.exists():
            return failure(404, "BlobNotFound")
        path.unlink()
        return Response(202)

    def clear(self) -> None:
        """Remove every blob."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.metadata.clear()

    def _whole(self, key: Key, body: bytes) -> bytes:
        blocks = self._blocks.pop(key, {})
        return b"".join(blocks[element.text or ""] for element in ET.fromstring(body))

    def _headers(self, key: Key, path: Path) -> dict[str, str]:
        meta = {f"x-ms-meta-{name}": value for name, value in self.metadata.get(key, {}).items()}
        return {
            "Content-Type": "application/octet-stream",
            "ETag": _etag(path),
            "Last-Modified": formatdate(path.stat().st_mtime, usegmt=True),
            "x-ms-blob-type": "BlockBlob",
            "x-ms-creation-time": formatdate(path.stat().st_mtime, usegmt=True),
            "x-ms-request-id": "a-request",
            "x-ms-version": "2024-11-04",
            "x-ms-lease-status": "unlocked",
            **meta,
        }


def failure(status: int, code: str, **headers: str) -> Response:
    """An error as blob storage writes it."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}: no.</Message></Error>'.encode()
    return Response(status, body, {"Content-Type": "application/xml", "x-ms-error-code": code, **headers})


def _told(request: Request) -> dict[str, str]:
    prefix = "x-ms-meta-"
    return {name[len(prefix) :]: value for name, value in request.headers.items() if name.startswith(prefix)}


def _etag(path: Path) -> str:
    return f'"{hashlib.sha256(f"{path.stat().st_mtime_ns}{path.stat().st_size}".encode()).hexdigest()[:16]}"'


def _describe(element: ET.Element, name: str, path: Path) -> None:
    ET.SubElement(element, "Name").text = name
    properties = ET.SubElement(element, "Properties")
    told = {
        "Creation-Time": formatdate(path.stat().st_mtime, usegmt=True),
        "Last-Modified": formatdate(path.stat().st_mtime, usegmt=True),
        "Etag": _etag(path).strip('"'),
        "Content-Length": str(path.stat().st_size),
        "Content-Type": "application/octet-stream",
        "Content-MD5": base64.b64encode(hashlib.md5(path.read_bytes()).digest()).decode(),
        "BlobType": "BlockBlob",
    }
    for key, value in told.items():
        ET.SubElement(properties, key).text = value
