"""The standard tests of chat: streaming, limits, and an answer that nobody wants to hear to its end."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from phichat.backends.base import AnyBackend, ChatOptions, Usage
from phichat.errors import UnsupportedError
from phichat.testing.deployments import HELLO, NOWHERE, SHORT
from phichat.testing.harness import Harness
from phichat.testing.standard import standard

LONG = ChatOptions(max_new_tokens=16, seed=1)
ENDLESS = ChatOptions(max_new_tokens=2000, temperature=1.0, seed=1)
GREEDY = ChatOptions(max_new_tokens=12, temperature=0, seed=1)


class ChatTests(Harness):
    """An answer comes in pieces, ends with what it cost, and stops when it is left alone."""

    abandon_seconds: ClassVar[float] = 2.0
    """How long it may take until an abandoned answer has stopped and the next one begins."""

    @standard
    async def test_chat_streams(self, backend: AnyBackend) -> None:
        """An answer of some length comes in more than one piece."""
        deployment = (await self.deployed()).deployment
        pieces = [p for p in await self.collect(backend.chat, deployment, HELLO, LONG) if isinstance(p, str)]
        assert len(pieces) > 1, (
            f"chat() yielded {len(pieces)} piece(s) for a whole answer: yield each piece as soon as the "
            "model has it."
        )

    @standard
    async def test_chat_ends_with_exactly_one_usage(self, backend: AnyBackend) -> None:
        """The last thing is what the answer cost."""
        deployment = (await self.deployed()).deployment
        parts = await self.collect(backend.chat, deployment, HELLO, LONG)
        usages = [part for part in parts if isinstance(part, Usage)]
        assert len(usages) == 1 and parts[-1] is usages[0], (
            f"chat() yielded {len(usages)} Usage(s) and ended with {parts[-1:]}: yield one Usage behind the "
            "last piece."
        )
        assert usages[0].completion_tokens > 0 and usages[0].prompt_tokens > 0, (
            f"chat() yielded {usages[0]!r} for a question and an answer: count the tokens of both."
        )

    @standard
    async def test_chat_stops_at_the_limit(self, backend: AnyBackend) -> None:
        """`max_new_tokens` is a limit, and the reader is told when it was what ended the answer."""
        deployment = (await self.deployed()).deployment
        options = ChatOptions(max_new_tokens=2, seed=1)
        usage = (await self.collect(backend.chat, deployment, HELLO, options))[-1]
        assert isinstance(usage, Usage), "chat() did not end with a Usage: yield one behind the last piece."
        assert usage.completion_tokens <= 2, (
            f"chat() generated {usage.completion_tokens} tokens where max_new_tokens is 2: pass the limit on."
        )
        assert usage.completion_tokens < 2 or usage.finish_reason == "length", (
            f"chat() stopped at its limit and said {usage.finish_reason!r}: the finish_reason "
            "is 'length' then."
        )

    @standard
    async def test_chat_repeats_a_greedy_answer(self, backend: AnyBackend) -> None:
        """At temperature 0 the same question has the same answer."""
        deployment = (await self.deployed()).deployment
        first, second = [_text(await self.collect(backend.chat, deployment, HELLO, GREEDY)) for _ in range(2)]
        assert first == second, (
            f"chat() at temperature 0 said {first!r}, then {second!r}: take the likeliest token there."
        )

    @standard
    async def test_chat_honours_stop_or_refuses_it(self, backend: AnyBackend) -> None:
        """A text that ends the answer is not part of it; who cannot do that says UnsupportedError."""
        deployment = (await self.deployed()).deployment
        words = _text(await self.collect(backend.chat, deployment, HELLO, GREEDY)).split()
        stop = words[len(words) // 2]
        options = GREEDY.model_copy(update={"stop": (stop,)})
        error = await self.refusal(backend.chat, deployment, HELLO, options)
        if isinstance(error, UnsupportedError):
            return
        text = _text(await self.collect(backend.chat, deployment, HELLO, options))
        assert stop not in text, (
            f"chat() went on past the stop text {stop!r}: end the answer before it, or raise "
            "UnsupportedError when `stop` is given."
        )

    @standard
    async def test_chat_can_be_abandoned(self, backend: AnyBackend) -> None:
        """Closing an answer in its middle stops the model, and the next question is heard at once."""
        deployment = (await self.deployed()).deployment
        await self.collect(backend.chat, deployment, HELLO, SHORT)
        before = asyncio.all_tasks()
        asked = time.monotonic()
        await self.take(1, backend.chat, deployment, HELLO, ENDLESS)
        await self.take(1, backend.chat, deployment, HELLO, SHORT)
        took = time.monotonic() - asked
        assert took < self.abandon_seconds, (
            f"chat() took {took:.1f} s to be abandoned and to begin the next answer: stop the model when the "
            "generator is closed, or raise `abandon_seconds` if it just begins late."
        )
        await self._quiet(before)

    @standard
    async def test_chat_can_be_cancelled(self, backend: AnyBackend) -> None:
        """Cancelling who listens to an answer ends it as well."""
        deployment = (await self.deployed()).deployment
        before = asyncio.all_tasks()
        heard = asyncio.Event()

        async def listen() -> None:
            async for _ in backend.chat(deployment, HELLO, ENDLESS):
                heard.set()

        listening = asyncio.create_task(listen())
        await asyncio.wait_for(heard.wait(), self.chat_seconds)
        listening.cancel()
        await asyncio.wait([listening], timeout=self.abandon_seconds)
        assert listening.cancelled(), (
            "chat() swallowed a cancellation: let CancelledError pass, and clean up in `finally`."
        )
        await self.collect(backend.chat, deployment, HELLO, SHORT)
        await self._quiet(before)

    @standard
    async def test_an_unknown_deployment_is_not_found(self, backend: AnyBackend) -> None:
        """Every method that takes a deployment says NotFoundError to one that there is not."""
        await self.missing(backend.chat, NOWHERE, HELLO, SHORT)
        if backend.supports("access"):
            await self.missing(backend.access, NOWHERE)
        if backend.supports("logs"):
            await self.missing(backend.logs, NOWHERE)

    @standard
    async def test_chatting_leaves_the_event_loop_free(self, backend: AnyBackend) -> None:
        """Nothing blocks while an answer comes."""
        deployment = (await self.deployed()).deployment
        async with self.responsive(backend.chat):
            await self.collect(backend.chat, deployment, HELLO, LONG)

    async def _quiet(self, before: set[asyncio.Task[object]]) -> None:
        """Expect that no task is left over which was not there before."""
        left = asyncio.all_tasks() - before
        if left:
            _, left = await asyncio.wait(left, timeout=self.abandon_seconds)
        assert not left, (
            f"chat() left the task {left.pop().get_coro()} at work behind a closed answer: cancel it when "
            "the generator is closed."
        )


def _text(parts: list[str | Usage]) -> str:
    return "".join(part for part in parts if isinstance(part, str))
