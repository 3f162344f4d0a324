"""Chat over the OpenAI protocol, with servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from phichat.backends.base import Access, ChatOptions, Message, Usage
from phichat.backends.openai import stream_chat
from phichat.errors import AuthError, BackendError, NotFoundError, PhichatError, UnavailableError
from tests.wire import Answer, serving

QUESTION = [Message(role="user", content="Who founded Microsoft?")]


async def ask(answer: Answer, options: ChatOptions | None = None) -> list[str | Usage]:
    with serving(answer) as url:
        access = Access(base_url=f"{url}/v1", key="sesame", model="m")
        return [part async for part in stream_chat(access, QUESTION, options or ChatOptions())]


def chunk(text: str | None = None, reason: str | None = None, **more: object) -> str:
    delta = {} if text is None else {"content": text}
    return json.dumps({"choices": [{"delta": delta, "finish_reason": reason}], **more})


def sse(*data: str) -> Response:
    async def lines() -> AsyncIterator[str]:
        for item in data:
            yield f"data: {item}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


USAGE = {
    "choices": [],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    "phichat": {"dropped_messages": 3, "context": 99, "template_sha256": "abc"},
}


async def test_pieces_then_usage() -> None:
    async def answer(request: Request) -> Response:
        return sse(chunk("Bill"), chunk(" Gates"), chunk(reason="stop"), json.dumps(USAGE), "[DONE]")

    usage = Usage(
        prompt_tokens=7,
        completion_tokens=2,
        finish_reason="stop",
        dropped_messages=3,
        context=99,
        template_sha256="abc",
    )
    assert await ask(answer) == ["Bill", " Gates", usage]


async def test_a_line_ends_only_where_the_protocol_ends_it() -> None:
    said = "one\u2028two\x85three\x0bfour\x1efive"
    raw = json.dumps({"choices": [{"delta": {"content": said}, "finish_reason": "stop"}]}, ensure_ascii=False)

    async def answer(request: Request) -> Response:
        return sse(raw, "[DONE]")

    assert (await ask(answer))[0] == said


async def test_what_is_asked_and_how_it_is_signed() -> None:
    seen: list[tuple[str, str, dict[str, object]]] = []

    async def answer(request: Request) -> Response:
        seen.append((request.url.path, request.headers["authorization"], await request.json()))
        return sse(chunk("x", "stop"), "[DONE]")

    await ask(answer, ChatOptions(temperature=0, seed=5, stop=("END",), overflow="drop_oldest"))
    (path, signed, body) = seen[0]
    assert (path, signed) == ("/v1/chat/completions", "Bearer sesame")
    assert body["messages"] == [{"role": "user", "content": "Who founded Microsoft?"}]
    assert (body["temperature"], body["seed"], body["stop"]) == (0, 5, ["END"])
    assert body["overflow"] == "drop_oldest"
    assert "continue_final" not in body


async def test_an_endpoint_that_does_not_stream() -> None:
    async def answer(request: Request) -> Response:
        choice = {"message": {"content": "Bill Gates"}, "finish_reason": "length"}
        return JSONResponse({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})

    assert await ask(answer) == [
        "Bill Gates",
        Usage(prompt_tokens=1, completion_tokens=2, finish_reason="length"),
    ]


@pytest.mark.parametrize(
    ("status", "body", "error", "sentence"),
    [
        (401, {"error": {"message": "No such key."}}, AuthError, "No such key."),
        (404, {"detail": "nothing here"}, NotFoundError, "answered 404"),
        (429, {"error": "Slow down."}, UnavailableError, "Slow down."),
        (503, {}, UnavailableError, "answered 503"),
        (400, {"error": {"message": "5000 tokens are more than 4096."}}, BackendError, "5000 tokens"),
    ],
)
async def test_refusals(status: int, body: object, error: type[PhichatError], sentence: str) -> None:
    async def answer(request: Request) -> Response:
        return JSONResponse(body, status_code=status)

    with pytest.raises(error, match=sentence):
        await ask(answer)


async def test_too_long_a_question_has_a_way_out() -> None:
    async def answer(_: Request) -> Response:
        told = {"message": "It is 90,919 tokens long.", "code": "context_length_exceeded"}
        return JSONResponse({"error": told}, status_code=400)

    with pytest.raises(BackendError) as caught:
        await ask(answer)
    assert caught.value.message == "It is 90,919 tokens long."
    assert caught.value.hint == "Ask with less text: edit the question, or cut it into parts."


async def test_a_refusal_that_is_no_json() -> None:
    async def answer(request: Request) -> Response:
        return PlainTextResponse("Internal Server Error", status_code=500)

    with pytest.raises(BackendError, match="Internal Server Error"):
        await ask(answer)


async def test_an_error_in_the_middle_of_the_answer() -> None:
    async def answer(request: Request) -> Response:
        return sse(chunk("Bill"), json.dumps({"error": {"message": "Out of memory."}}))

    with pytest.raises(BackendError, match="Out of memory"):
        await ask(answer)


async def test_an_answer_that_breaks_off_is_not_an_answer() -> None:
    async def answer(request: Request) -> Response:
        return sse(chunk("Bill"))

    with pytest.raises(UnavailableError, match="broke off"):
        await ask(answer)


async def test_a_connection_that_breaks() -> None:
    async def answer(request: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            yield f"data: {chunk('Bill')}\n\n"
            raise RuntimeError("the server dies")

        return StreamingResponse(lines(), media_type="text/event-stream")

    with pytest.raises(UnavailableError):
        await ask(answer)


async def test_somebody_else_answers() -> None:
    async def answer(request: Request) -> Response:
        return PlainTextResponse("<html>Welcome</html>")

    with pytest.raises(BackendError, match="does not speak"):
        await ask(answer)


async def test_nobody_answers() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(UnavailableError, match="cannot be reached"):
        async for _ in stream_chat(Access(base_url=url, key="k"), QUESTION, ChatOptions()):
            pass


async def test_this_machine_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def answer(request: Request) -> Response:
        return sse(chunk("here", "stop"), "[DONE]")

    assert (await ask(answer))[0] == "here"


async def test_closing_ends_the_request() -> None:
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def answer(request: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            try:
                while True:
                    yield f"data: {chunk('on and on')}\n\n"
                    await asyncio.sleep(0.01)
            finally:
                loop.call_soon_threadsafe(gone.set)

        return StreamingResponse(lines(), media_type="text/event-stream")

    with serving(answer) as url:
        parts = stream_chat(Access(base_url=f"{url}/v1", key="k"), QUESTION, ChatOptions())
        assert await anext(parts) == "on and on"
        await parts.aclose()
        await asyncio.wait_for(gone.wait(), 5)


def test_a_key_is_not_shown() -> None:
    assert "sesame" not in repr(Access(base_url="http://x", key="sesame"))
