"""What a new process sees of a backend: a script that the suite starts, never imported by it.

It reads one JSON request from stdin and prints the events of a job, or an answer, as JSON lines.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from phichat.backends.base import AnyBackend, ChatOptions, Deployment, Job, Message, Usage
from phichat.backends.registry import Registry
from phichat.events import Piece, dump


async def watch(backend: AnyBackend, job: Job) -> None:
    """Print the job's events."""
    async for event in backend.watch(job):
        sys.stdout.write(f"{dump(event)}\n")


async def chat(backend: AnyBackend, deployment: Deployment) -> None:
    """Print the pieces of a short answer."""
    question = [Message(role="user", content="Tell me about the sea.")]
    async for piece in backend.chat(deployment, question, ChatOptions(max_new_tokens=4, seed=1)):
        if not isinstance(piece, Usage):
            sys.stdout.write(f"{dump(Piece(text=piece))}\n")


async def main(request: dict[str, Any]) -> None:
    """Open the backend by name and do what is asked."""
    backend = Registry().open(request["backend"], request["settings"], Path(request["workdir"]))
    try:
        if "job" in request:
            await watch(backend, Job.model_validate(request["job"]))
        else:
            await chat(backend, Deployment.model_validate(request["deployment"]))
    finally:
        await backend.aclose()


if __name__ == "__main__":
    asyncio.run(main(json.load(sys.stdin)))
