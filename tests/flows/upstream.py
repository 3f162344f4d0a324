"""A deployment that answers as the question tells it to, for the flows to ask."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from tests.wire import serving

KEY = "sesame"


@dataclass
class Upstream:
    """Where the deployment is, and what it has seen."""

    url: str = ""
    key: str = KEY
    asked: list[dict[str, Any]] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None
    """Ends it before its time."""
    begun: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    """An endless answer has been begun, and stopped."""

    @property
    def environ(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": KEY}

    async def answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"error": {"message": "The key is missing or wrong."}}, 401)
        body = await request.json()
        self.asked.append(body)
        words = body["messages"][-1]["content"].split(" ")
        if "impossible" in words:
            return JSONResponse({"error": {"message": "9000 tokens are more than 4096."}}, 400)
        if "busy" in words and len(self.asked) < 3:
            return JSONResponse({"error": "Slow down."}, 429, {"Retry-After": "7"})
        if "whole" in words:
            return JSONResponse({"choices": [{"message": {"content": "All at once."}}]})
        return StreamingResponse(self._events(words), media_type="text/event-stream")

    async def _events(self, words: list[str]) -> AsyncIterator[str]:
        if "silent" not in words:
            for at, word in enumerate(words):
                yield _chunk(word if at == 0 else f" {word}")
                if word == "stumble":
                    yield f"data: {json.dumps({'error': {'message': 'Out of memory.'}})}\n\n"
                    return
                if word == "vanish":
                    return
                while word == "forever":
                    self.begun.set()
                    try:
                        await anyio.sleep(0.01)
                        yield _chunk("!")
                    except BaseException:
                        self.gone.set()
                        raise
        yield _chunk(None, "stop")
        yield "data: [DONE]\n\n"


def _chunk(text: str | None, reason: str | None = None) -> str:
    delta = {} if text is None else {"content": text}
    # As our own server writes it: such text may hold what other programs take for the end of a line.
    data = json.dumps({"choices": [{"delta": delta, "finish_reason": reason}]}, ensure_ascii=False)
    return f"data: {data}\n\n"


@contextlib.contextmanager
def deployed() -> Iterator[Upstream]:
    """A deployment on this machine."""
    upstream = Upstream()
    with contextlib.ExitStack() as stack:
        upstream.url = f"{stack.enter_context(serving(upstream.answer))}/v1"
        upstream.stop = stack.close
        yield upstream
