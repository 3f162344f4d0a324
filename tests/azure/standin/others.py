"""Containers that are only played: those that others have deployed, each with the contract of a real one."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from tests.azure.standin.wire import Json, Request, Response, answer

WORDS = ("The ", "sea ", "is ", "salt.")
SAYS = "".join(WORDS)
"""What every one of them answers."""
USAGE = {"prompt_tokens": 5, "completion_tokens": len(WORDS)}


class Theirs:
    """A container that is there, and runs as long as it is wanted."""

    ended = False
    lines = "INFO: the server of somebody else"

    def ready(self, route: str) -> bool:
        """Always."""
        return True

    def kill(self) -> None:
        """Nothing runs."""

    def answered(self, request: Request) -> Response:
        """What it answers; the door makes 424 of anything but 200."""
        raise NotImplementedError


class InferenceServer(Theirs):
    """Azure's own Python server, which has one route; a scoring script makes it one of these."""

    def answered(self, request: Request) -> Response:
        if (request.method, request.path) != ("POST", "/score"):
            return answer({"message": "The requested URL was not found on the server."}, 404)
        try:
            return answer(self.run(request.json))
        except Exception:
            told = "An unexpected error occurred in scoring script. Check the logs for more info."
            return answer({"message": told}, 500)

    def run(self, body: Json) -> Any:
        raise NotImplementedError


class MLflow(InferenceServer):
    """A text-generation model without code: a list of texts, each behind its prompt unless told otherwise."""

    def __init__(self, *, listens: bool = False, skips: bool = False) -> None:
        self._listens = listens
        """Whether the signature has parameters; without, all of them are ignored."""
        self._skips = skips
        """Whether special tokens are missing in what it repeats."""

    def answered(self, request: Request) -> Response:
        if request.path == "/score" and "input_data" not in request.json:
            told = {"message": "A value is not provided for the 'input_data' parameter."}
            return answer(told, 400)
        return super().answered(request)

    def run(self, body: Json) -> Any:
        asked, params = body["input_data"], body.get("params") or {}
        if not isinstance(asked, list):
            raise TypeError("Failed to enforce schema of data: expected a list")
        said = [each["content"] if isinstance(each, dict) else each for each in asked]
        if self._listens and params.get("return_full_text") is False:
            return [SAYS for _ in said]
        return [self._repeated(each) + SAYS for each in said]

    def _repeated(self, prompt: str) -> str:
        for mark in ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>") if self._skips else ():
            prompt = prompt.replace(mark, "")
        return prompt


class Catalogue(InferenceServer):
    """A chat model of the catalogue: messages in an envelope, one text."""

    def run(self, body: Json) -> Any:
        asked = body["input_data"]
        if not isinstance(asked, dict):
            raise ValueError("Invalid input data")
        if any(set(each) != {"role", "content"} for each in asked["input_string"]):
            raise ValueError("a message has a role and a content")
        return {"output": SAYS}


class CatalogueText(InferenceServer):
    """An early text model of the catalogue: texts in the same envelope, written into JSON twice."""

    def run(self, body: Json) -> Any:
        (prompt,) = body["input_data"]["input_string"]
        if not isinstance(prompt, str):
            raise ValueError("query is not a list of texts")
        return json.dumps([{"0": f"{prompt}{SAYS}"}])


class OpenAI(Theirs):
    """A server of OpenAI's protocol that has one model, and knows no other."""

    def __init__(self, model: str = "phi", *, wants_its_name: bool = False) -> None:
        self._models = (model,) if wants_its_name else ("", model)
        self._model = model

    def answered(self, request: Request) -> Response:
        if (request.method, request.path) == ("GET", "/v1/models"):
            return answer({"object": "list", "data": [{"id": self._model, "object": "model"}]})
        if (request.method, request.path) != ("POST", "/v1/chat/completions"):
            return answer({"detail": "Not Found"}, 404)
        body = request.json
        if body["model"] not in self._models:
            return answer({"object": "error", "message": f"The model `{body['model']}` does not exist."}, 404)
        if body.get("stream"):
            return Response(200, b"", {"Content-Type": "text/event-stream"}, self._pieces())
        choice = {"index": 0, "message": {"role": "assistant", "content": SAYS}, "finish_reason": "stop"}
        return answer({"model": self._model, "choices": [choice], "usage": USAGE})

    def _pieces(self) -> Generator[bytes, None, None]:
        for word in WORDS:
            yield _event({"choices": [{"delta": {"content": word}}]})
        yield _event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        yield _event({"choices": [], "usage": USAGE})
        yield b"data: [DONE]\n\n"


class Stranger(Theirs):
    """Something that is no language model at all."""

    def answered(self, request: Request) -> Response:
        return answer({"predictions": [0.25]})


class Stuck(Theirs):
    """A container that never gets ready."""

    lines = "Loading checkpoint shards:  50%"

    def ready(self, route: str) -> bool:
        return False


class Crashing(Theirs):
    """A container that is healthy, answers some questions, and then is gone for good."""

    def __init__(self, answers: int) -> None:
        self._left = answers
        self.lines = "INFO: started"

    def answered(self, request: Request) -> Response:
        if self._left:
            self._left -= 1
            choice = {"message": {"content": SAYS}, "finish_reason": "stop"}
            return answer({"choices": [choice], "usage": USAGE})
        self.lines = "INFO: started\nTraceback (most recent call last):\nMemoryError: out of pages"
        return Response(502, b"upstream connect error")


def _event(told: Json) -> bytes:
    return f"data: {json.dumps(told)}\n\n".encode()
