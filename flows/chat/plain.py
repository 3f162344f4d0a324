"""The chat flow over HTTP without Prompt flow, with the same contract: `plain.py --port N`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import deployment
from deployment import DeploymentError, Pieces
from door import HERE, Door

KEY = "CHAT_FLOW_KEY"
"""What clients sign their requests with, where the server is for more than this machine."""
EVENTS = "text/event-stream"
JSON = {"application/json", "application/*", "*/*"}
BODY_LIMIT = 8 * 1024 * 1024
CLIENT_GONE = 499


async def score(request: Request) -> Response:
    """`{"question", "chat_history"}` → `{"answer"}`, or its pieces as server-sent events."""
    accepted = {each.partition(";")[0].strip() for each in request.headers.get("accept", "*/*").split(",")}
    if EVENTS not in accepted and not accepted & JSON:
        raise HTTPException(406, f"The answer can be {EVENTS} or application/json.")
    asked = await _body(request)
    pieces = await run_sync(deployment.answer, asked.get("question"), asked.get("chat_history") or [])
    if EVENTS in accepted:
        return StreamingResponse(_events(pieces), media_type=EVENTS, headers={"Cache-Control": "no-cache"})
    return await _whole(request, pieces)


async def health(_: Request) -> Response:
    """Whether the server runs; the deployment is not asked."""
    return JSONResponse({"status": "Healthy"})


async def page(_: Request) -> Response:
    """A chat for the browser."""
    return FileResponse(Path(__file__).with_name("page.html"))


async def _whole(request: Request, pieces: Pieces) -> Response:
    said = []
    async with contextlib.aclosing(_each(pieces)) as each:
        try:
            async for piece in each:
                said.append(piece)
                if await request.is_disconnected():
                    return Response(status_code=CLIENT_GONE)
        except DeploymentError as error:
            return JSONResponse(_problem(str(error), "SystemError"), 500)
    return JSONResponse({"answer": "".join(said)})


async def _events(pieces: Pieces) -> AsyncIterator[str]:
    async with contextlib.aclosing(_each(pieces)) as each:
        try:
            async for piece in each:
                yield _event({"answer": piece})
        except DeploymentError as error:
            yield _event(_problem(str(error), "SystemError"))


async def _each(pieces: Pieces) -> AsyncGenerator[str, None]:
    """The pieces, each waited for in a thread; the model stops when the client goes away."""
    try:
        while (piece := await run_sync(next, pieces, None)) is not None:
            yield piece
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(pieces.close)


async def _body(request: Request) -> Mapping[str, Any]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_LIMIT:
            raise HTTPException(413, f"The request is larger than {BODY_LIMIT // 1024**2} MiB.")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"The request's body is not JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise HTTPException(400, "The request's body must be a JSON object.")
    return fields


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _problem(message: str, code: str = "UserError") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse(_problem(str(error)), 400)


async def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(_problem(error.detail), error.status_code, headers=error.headers)


def app(key: str = "", anybody: bool = False) -> Door:
    """The ASGI application; without a key it serves this machine only, unless `anybody` may come."""
    routes = [Route("/", page), Route("/health", health), Route("/score", score, methods=["POST"])]
    handlers: Any = {DeploymentError: _refused, HTTPException: _http_problem}
    return Door(Starlette(routes=routes, exception_handlers=handlers), key, anybody)


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Serve until stopped. Wrong arguments exit with 2."""
    parser = argparse.ArgumentParser(prog="plain.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    parser.add_argument(
        "--no-key",
        action="store_true",
        help=f"let anybody in who can reach the address; else clients need the key in ${KEY}",
    )
    arguments = parser.parse_args(argv)
    key = "" if arguments.no_key else environ.get(KEY, "")
    if arguments.host not in HERE and not key and not arguments.no_key:
        parser.error(f"anybody could use this server: set {KEY}, or give --no-key to allow that.")
    served: Any = app(key, arguments.no_key)
    uvicorn.run(served, host=arguments.host, port=arguments.port, log_level="warning", ws="none")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
