"""Backends that break a promise about chat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from phichat_markov import Markov

from phichat.backends.base import ChatOptions, Deployment, Message, Usage
from tests.plugins.variants import block, broken

ONE_USAGE = "test_chat_ends_with_exactly_one_usage"
ABANDONED = "test_chat_can_be_abandoned"
Answer = AsyncGenerator[str | Usage, None]


@broken("test_chatting_leaves_the_event_loop_free", "chat() held up the event loop")
class BlockingChat(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        block()
        async for part in super().chat(deployment, messages, options):
            yield part


@broken("test_chat_streams", "yield each piece as soon as the model has it")
class ChatInOnePiece(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        parts = [part async for part in super().chat(deployment, messages, options)]
        yield "".join(part for part in parts if isinstance(part, str))
        yield parts[-1]


@broken(ONE_USAGE, "0 Usage(s)")
class NoUsage(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        async for part in super().chat(deployment, messages, options):
            if isinstance(part, str):
                yield part


@broken(ONE_USAGE, "yield one Usage behind the last piece")
class UsageFirst(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        yield Usage(prompt_tokens=1, completion_tokens=1, finish_reason="stop")
        async for part in super().chat(deployment, messages, options):
            if isinstance(part, str):
                yield part


@broken(ONE_USAGE, "count the tokens of both")
class NothingCounted(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        async for part in super().chat(deployment, messages, options):
            if isinstance(part, str):
                yield part
        yield Usage(prompt_tokens=0, completion_tokens=0, finish_reason="stop")


@broken("test_chat_stops_at_the_limit", "pass the limit on")
class LimitIgnored(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        longer = options.model_copy(update={"max_new_tokens": 20})
        async for part in super().chat(deployment, messages, longer):
            yield part


@broken("test_chat_stops_at_the_limit", "the finish_reason is 'length' then")
class LimitNotTold(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        async for part in super().chat(deployment, messages, options):
            yield part.model_copy(update={"finish_reason": "stop"}) if isinstance(part, Usage) else part


@broken("test_chat_repeats_a_greedy_answer", "take the likeliest token there")
class GreedyAtRandom(Markov):
    answers = 0

    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        self.answers += 1
        yield f"{self.answers} "
        async for part in super().chat(deployment, messages, options):
            yield part


@broken("test_chat_honours_stop_or_refuses_it", "end the answer before it")
class StopIgnored(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        async for part in super().chat(deployment, messages, options.model_copy(update={"stop": ()})):
            yield part


@broken(ABANDONED, "stop the model when the generator is closed", abandon_seconds=0.5)
class NeverAbandoned(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        try:
            async for part in super().chat(deployment, messages, options):
                yield part
        finally:
            await asyncio.sleep(0.5)  # it talks on to its end


@broken(ABANDONED, "chat() raised RuntimeError")
class LastWordInsistedUpon(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        try:
            async for part in super().chat(deployment, messages, options):
                if isinstance(part, str):
                    yield part
        finally:
            yield Usage(prompt_tokens=1, completion_tokens=1, finish_reason="stop")


@broken(ABANDONED, "at work behind a closed answer", abandon_seconds=0.5)
class TaskLeftBehind(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        queue: asyncio.Queue[str | Usage] = asyncio.Queue()

        async def generate() -> None:
            async for part in super(TaskLeftBehind, self).chat(deployment, messages, options):
                await queue.put(part)
            await asyncio.sleep(2)

        self.generating = asyncio.create_task(generate())
        while True:
            part = await queue.get()
            yield part
            if isinstance(part, Usage):
                return


@broken("test_chat_can_be_cancelled", "let CancelledError pass")
class CancellationSwallowed(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        try:
            async with aclosing(super().chat(deployment, messages, options)) as parts:
                async for part in parts:
                    yield part
        except asyncio.CancelledError:
            return


@broken(
    "test_an_unknown_deployment_is_not_found",
    "chat() was given something that does not exist and accepted",
)
class UnknownDeploymentAnswers(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        yield "Who are you?"
        yield Usage(prompt_tokens=1, completion_tokens=3, finish_reason="stop")


@broken("test_only_backend_errors_leave_a_method", "chat() raised FileNotFoundError")
class StrayException(Markov):
    async def chat(self, deployment: Deployment, messages: Sequence[Message], options: ChatOptions) -> Answer:
        self.file(deployment.id).read_text()
        async for part in super().chat(deployment, messages, options):
            yield part
