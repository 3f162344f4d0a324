"""The server's routes: health, models, chat completions (streamed or whole) and scoring."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from contract import ContextError, ConversationError, EngineError, Usage
from protocol import (
    Batch,
    Question,
    RequestError,
    chunk,
    completion,
    parse_chat,
    parse_score,
    problem,
    usage_chunk,
)

if TYPE_CHECKING:
    from engine import Engine
    from generation import Generation

BODY_LIMIT = 8 * 1024 * 1024
"""Bytes of a request; the longest context that there is takes less."""
CLIENT_GONE = 499

Items = asyncio.Queue[str | Usage | EngineError]
Handler = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")


class Api:
    """The HTTP side of one engine, which may still be loading; an empty key lets everybody in."""

    def __init__(self, model: str, key: str) -> None:
        self.engine: Engine | None = None
        self._model = model
        self._key = key.encode()
        self._started = int(time.time())
        self._busy = 0
        self._rested = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long ago the last answer ended; 0 while one is made, and while the model loads."""
        return 0.0 if self._busy or self.engine is None else time.monotonic() - self._rested

    def ready(self, engine: Engine) -> None:
        """Answer questions from now on."""
        self.engine = engine
        self._rested = time.monotonic()

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/v1/models", self._guarded(self.models)),
                Route("/v1/chat/completions", self._guarded(self.chat), methods=["POST"]),
                Route("/score", self._guarded(self.score), methods=["POST"]),
            ],
            exception_handlers={
                RequestError: _refused,
                ConversationError: _refused,
                ContextError: _too_long,
                EngineError: _failed,
                HTTPException: _http_problem,
                ClientDisconnect: _left,
            },
        )

    async def health(self, _: Request) -> Response:
        """Whether the model is ready; needs no key."""
        if self.engine is None:
            return JSONResponse({"status": "loading"}, 503)
        return JSONResponse({"status": "ready", "model": self._model, "context": self.engine.context})

    async def models(self, _: Request) -> Response:
        """The one model there is."""
        model = {"id": self._model, "object": "model", "created": self._started, "owned_by": "phichat"}
        return JSONResponse({"object": "list", "data": [model]})

    async def chat(self, request: Request) -> Response:
        """OpenAI's chat completions."""
        return await self._answer(request, parse_chat(await _body(request)))

    async def score(self, request: Request) -> Response:
        """The same, or a list of texts for the `input_data` form."""
        asked = parse_score(await _body(request))
        if isinstance(asked, Question):
            return await self._answer(request, asked)
        with self._working():
            texts = await _unless_gone(request, self._texts(asked))
        return Response(status_code=CLIENT_GONE) if texts is None else JSONResponse(texts)

    async def _texts(self, batch: Batch) -> list[str]:
        answers = [(await self._whole(question))[0] for question in batch.questions]
        return [prefix + answer for prefix, answer in zip(batch.prefixes, answers, strict=True)]

    async def _answer(self, request: Request, question: Question) -> Response:
        identity = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": self._model}
        if question.stream:
            with contextlib.ExitStack() as stack:
                stack.enter_context(self._working())
                generation, items = await self._start(question)
                stack.callback(generation.cancel)
                return _Stream(_events(identity, question, items), stack.pop_all())
        with self._working():
            answer = await _unless_gone(request, self._whole(question))
        return (
            Response(status_code=CLIENT_GONE)
            if answer is None
            else JSONResponse(completion(identity, *answer))
        )

    async def _whole(self, question: Question) -> tuple[str, Usage]:
        """The answer in one piece; cancelled, it stops the model."""
        generation, items = await self._start(question)
        pieces = []
        try:
            while not isinstance(item := await items.get(), Usage):
                if isinstance(item, EngineError):
                    raise item
                pieces.append(item)
            return "".join(pieces), item
        finally:
            generation.cancel()

    async def _start(self, question: Question) -> tuple[Generation, Items]:
        """Give the question to the engine, off the event loop: tokenizing a long conversation takes time."""
        if self.engine is None:
            raise HTTPException(503, "The model is still loading; try again in a moment.")
        loop = asyncio.get_running_loop()
        items: Items = asyncio.Queue()

        def deliver(item: str | Usage | EngineError) -> None:
            loop.call_soon_threadsafe(items.put_nowait, item)

        asked = asyncio.ensure_future(
            asyncio.to_thread(self.engine.chat, question.messages, question.options, deliver)
        )
        try:
            return await asyncio.shield(asked), items
        except asyncio.CancelledError:
            # The thread goes on all the same, and would leave an answer that nobody stops.
            asked.add_done_callback(_cancel)
            raise

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._rested = time.monotonic()

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            given = key.strip().encode() if scheme.lower() == "bearer" else b""
            if self._key and not hmac.compare_digest(given, self._key):
                raise HTTPException(401, "The key is missing or wrong.", {"WWW-Authenticate": "Bearer"})
            return await handler(request)

        return guarded


class _Stream(StreamingResponse):
    """Server-sent events; whatever way they end, what they hold is let go, even when they never began."""

    def __init__(self, events: AsyncIterator[str], holds: contextlib.ExitStack) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._holds = holds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._holds:
            await super().__call__(scope, receive, send)


def _cancel(asked: asyncio.Future[Generation]) -> None:
    if not asked.cancelled() and asked.exception() is None:
        asked.result().cancel()


async def _events(identity: Mapping[str, Any], question: Question, items: Items) -> AsyncIterator[str]:
    yield _event(chunk(identity, {"role": "assistant", "content": ""}))
    while not isinstance(item := await items.get(), Usage):
        if isinstance(item, EngineError):
            yield _event(problem(str(item), "server_error"))
            return
        yield _event(chunk(identity, {"content": item}))
    yield _event(chunk(identity, {}, item.finish_reason))
    if question.include_usage:
        yield _event(usage_chunk(identity, item))
    yield "data: [DONE]\n\n"


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def _body(request: Request) -> object:
    """The request's JSON, of a bounded size."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_LIMIT:
            raise HTTPException(413, f"The request is larger than {BODY_LIMIT // 1024**2} MiB.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The request's body is not JSON: {error}.") from error


async def _unless_gone(request: Request, answer: Awaitable[T]) -> T | None:
    """The answer; None, and no more work on it, if the client goes away first."""
    working = asyncio.ensure_future(answer)
    watching = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        watching.cancel()
        working.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse(problem(str(error), "invalid_request_error"), 400)


async def _too_long(_: Request, error: Exception) -> Response:
    return JSONResponse(problem(str(error), "invalid_request_error", "context_length_exceeded"), 400)


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse(problem(str(error), "server_error"), 500)


async def _left(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


async def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kinds = {401: ("authentication_error", "invalid_api_key"), 503: ("server_error", "loading")}
    kind, code = kinds.get(error.status_code, ("invalid_request_error", None))
    return JSONResponse(problem(error.detail, kind, code), error.status_code, headers=error.headers)
