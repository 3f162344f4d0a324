"""A stand-in for the Hugging Face hub that serves one dataset over the wire, as the real one lays it out."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.wire import serving

COMMIT = "8049631c405ae6576f93f445c6b8166f76f5505a"
REPO = "HuggingFaceH4/ultrachat_200k"
SPLITS = ("train_sft", "test_sft", "train_gen", "test_gen")

_FILES = "".join(f"  - split: {split}\n    path: data/{split}-*\n" for split in SPLITS)
CARD = f"""---
language:
- en
license: mit
configs:
- config_name: default
  data_files:
{_FILES}---

# A dataset card
"""


def chat(number: int, rounds: int = 2) -> dict[str, Any]:
    """A record of the dataset's shape: keys content → role, the first question repeated as `prompt`."""
    messages = []
    for turn in range(rounds):
        question = f"How many steps lead up tower number {number}, seen from gate {turn}?"
        answer = f"Tower {number} has {number * 7 + turn} steps from gate {turn}, all of them of grey stone."
        messages += [{"content": question, "role": "user"}, {"content": answer, "role": "assistant"}]
    name = hashlib.sha256(messages[0]["content"].encode()).hexdigest()
    return {"prompt": messages[0]["content"], "prompt_id": name, "messages": messages}


def parquet(rows: list[dict[str, Any]]) -> bytes:
    """The rows as a Parquet file with the dataset's own schema."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    message = pa.struct([("content", pa.string()), ("role", pa.string())])
    schema = pa.schema([("prompt", pa.string()), ("prompt_id", pa.string()), ("messages", pa.list_(message))])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    return sink.getvalue()


@dataclass
class Hub:
    """The stand-in: what it serves, and what it was asked for."""

    files: dict[str, bytes]
    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        """One request, as huggingface.co would answer it."""
        path = request.url.path
        self.asked.append(f"{request.method} {path}")
        if path.startswith(f"/api/datasets/{REPO}"):
            return await self._api(request, path.removeprefix(f"/api/datasets/{REPO}"))
        if path.startswith(f"/datasets/{REPO}/resolve/"):
            name = path.removeprefix(f"/datasets/{REPO}/resolve/").partition("/")[2]
            if name in self.files:
                return self._file(self.files[name], request)
        missing = {"X-Error-Code": "EntryNotFound" if REPO in path else "RepoNotFound"}
        return JSONResponse({"error": "not found"}, 404, headers=missing)

    async def _api(self, request: Request, path: str) -> Response:
        if path.startswith("/tree/"):
            folder = path.removeprefix("/tree/").partition("/")[2]
            return JSONResponse(self._tree(folder))
        if path.startswith("/paths-info/"):
            form = await request.form()
            wanted = form.getlist("paths")
            return JSONResponse([self._entry(name) for name in self.files if name in wanted])
        siblings = [{"rfilename": name} for name in self.files]
        return JSONResponse({"id": REPO, "sha": COMMIT, "siblings": siblings, "private": False})

    def _tree(self, folder: str) -> list[dict[str, Any]]:
        start = f"{folder}/" if folder else ""
        inside = [name for name in self.files if name.startswith(start)]
        folders = {start + name.removeprefix(start).partition("/")[0] for name in inside} - set(inside)
        below = [{"type": "directory", "path": name, "oid": "0" * 40, "size": 0} for name in folders]
        return below + [self._entry(name) for name in inside if "/" not in name.removeprefix(start)]

    def _entry(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def _file(self, content: bytes, request: Request) -> Response:
        headers = {
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        if request.method == "HEAD":
            return Response(headers={**headers, "Content-Length": str(len(content))})
        span = request.headers.get("range", "")
        if span.startswith("bytes="):
            start, _, end = span.removeprefix("bytes=").partition("-")
            last = int(end) if end else len(content) - 1
            where = {"Content-Range": f"bytes {start}-{last}/{len(content)}"}
            return Response(content[int(start) : last + 1], 206, headers={**headers, **where})
        return Response(content, headers=headers)


@contextlib.contextmanager
def ultrachat(rows: int) -> Iterator[Hub]:
    """The dataset with so many training rows, being served."""
    train = parquet([chat(number) for number in range(rows)])
    few = parquet([chat(number) for number in range(5)])
    files = {"README.md": CARD.encode()}
    files |= {f"data/{split}-00000-of-00001.parquet": few for split in SPLITS}
    files["data/train_sft-00000-of-00001.parquet"] = train
    hub = Hub(files)
    with serving(hub.answer) as url:
        hub.url = url
        yield hub
