"""Streams answers of one chat model: all conversations at once make progress at once, and can be stopped."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# Before torch: threads that spin while they wait slow each other, and everything else, down several times.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import psutil
import torch

from cache import BLOCK, KeyValues, Pool
from chat import ChatTemplate, fit
from contract import (
    ContextError,
    ConversationError,
    Deliver,
    EngineError,
    FinishReason,
    Message,
    ModelError,
    Options,
    Usage,
)
from generation import Generation
from model import first_line, load, out_of_memory

CHUNK_SECONDS = 0.25
"""How long reading one chunk of a prompt may take: that is how soon an answer stops, and others go on."""
CHUNK_FIRST, CHUNK_LEAST, CHUNK_MOST = 64, 32, 2048
"""Tokens. Each chunk reads all weights once: on a CPU, chunks of 32 take 1.7 times what one piece takes."""
ANSWER = 512
"""Tokens kept free for an answer without a limit when old turns have to be dropped."""


class Engine:
    """Loads a model folder and answers conversations; every method may be called from any thread.

    One thread of its own takes turns among the answers: a chunk of a prompt or one token each. `threads` are
    those of PyTorch on a CPU; `cache_bytes` is the cap for the keys and values of all conversations together,
    by default a quarter of the memory that is free (half of a GPU's). The model's weights come on top.

    Raises:
        ModelError: the folder cannot be served.
    """

    def __init__(
        self,
        model_dir: Path,
        device: str = "auto",
        threads: int | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._model, tokenizer = load(model_dir, device)
        self._template = ChatTemplate(tokenizer)
        self._ends = self._template.stop_tokens(*self._model.end_tokens)
        cap = cache_bytes if cache_bytes is not None else _spare_memory(self._model.device)
        self._pool = Pool(cap, self._model.bytes_per_token)
        self.context = min(self._model.context, self._pool.capacity)
        """Tokens that a conversation and its answer may have together: the model's, or what the cap holds."""
        if not self.context:
            raise ModelError(
                f"The cap of {cap:,} bytes for keys and values is too small: this model needs at least "
                f"{BLOCK * self._model.bytes_per_token:,}."
            )
        self._chunk = CHUNK_FIRST
        self._arrived: queue.SimpleQueue[Generation | None] = queue.SimpleQueue()
        self._waiting: list[Generation] = []
        self._active: list[Generation] = []
        self._closing = False
        self._thread = threading.Thread(target=self._work, args=(threads,), name="engine", daemon=True)
        self._thread.start()

    def chat(self, messages: Sequence[Message], options: Options, deliver: Deliver) -> Generation:
        """Start an answer; `deliver` gets its pieces, then exactly one `Usage` or error.

        Raises:
            ConversationError: the model's template does not take these messages.
            ContextError: the conversation is too long.
            EngineError: the engine is closed.
        """
        if self._closing:
            raise EngineError("The model is being stopped.")
        prompt, dropped = self._prompt(messages, options)
        generation = Generation(
            prompt, options, deliver, self._template, ends=self._ends, context=self.context, dropped=dropped
        )
        self._arrived.put(generation)
        return generation

    def stream(self, messages: Sequence[Message], options: Options) -> Iterator[str | Usage]:
        """The pieces of an answer, then its `Usage`. Closing the iterator stops the model."""
        items: queue.SimpleQueue[str | Usage | EngineError] = queue.SimpleQueue()
        generation = self.chat(messages, options, items.put)
        try:
            while not isinstance(item := items.get(), Usage):
                if isinstance(item, EngineError):
                    raise item
                yield item
            yield item
        finally:
            generation.cancel()

    def close(self, timeout: float | None = None) -> None:
        """Stop all answers, each with its `Usage`, and end the thread; waits at most `timeout` seconds."""
        self._closing = True
        self._arrived.put(None)
        self._thread.join(timeout)

    def _prompt(self, messages: Sequence[Message], options: Options) -> tuple[list[int], int]:
        if not messages:
            raise ConversationError("There are no messages to answer.")
        if options.continue_final and messages[-1]["role"] != "assistant":
            raise ConversationError(
                "Only an answer can be continued: the last message is not the assistant's."
            )
        if options.overflow == "drop_oldest":
            room = min(options.max_tokens or ANSWER, self.context // 4)
            return fit(
                self._template,
                messages,
                context=self.context,
                room=room,
                continue_final=options.continue_final,
            )
        prompt = self._template.encode(messages, continue_final=options.continue_final)
        if len(prompt) >= self.context:
            raise ContextError(len(prompt), self.context)
        return prompt, 0

    # What follows runs in the engine's own thread.

    def _work(self, threads: int | None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)  # OpenMP's number belongs to the thread that sets it
        with torch.inference_mode():
            while not self._closing:
                self._welcome()
                self._admit()
                for generation in list(self._active):
                    if generation.held is not None:
                        self._turn(generation)
        self._welcome()
        for generation in [*self._active, *self._waiting]:
            generation.finish("cancelled")

    def _welcome(self) -> None:
        """Take in what has arrived; with nothing else to do, wait for it."""
        while not self._arrived.empty() or not (self._active or self._waiting or self._closing):
            generation = self._arrived.get()
            if generation is not None:
                self._waiting.append(generation)
            elif self._closing:
                return

    def _admit(self) -> None:
        """Let waiting answers begin, in their order, as far as there is room for what they have to read."""
        for generation in [waiting for waiting in self._waiting if waiting.cancelled]:
            self._waiting.remove(generation)
            generation.finish("cancelled")
        while self._waiting:
            generation = self._waiting[0]
            try:
                long = self._model.is_long(len(generation.tokens))
                generation.held = self._pool.open(generation.tokens, long=long, ahead=BLOCK)
            except Exception as error:  # copying a beginning takes memory
                self._waiting.remove(generation)
                self._fail(generation, error)
                continue
            if generation.held is None:
                return
            self._active.append(self._waiting.pop(0))

    def _turn(self, generation: Generation) -> None:
        """Work on one answer for a moment: a chunk of what it has to read, or one token."""
        try:
            if generation.cancelled:
                self._end(generation, "cancelled")
            elif (held := self._ready(generation)) is not None:
                self._step(generation, held)
        except Exception as error:
            self._fail(generation, error)

    def _step(self, generation: Generation, held: KeyValues) -> None:
        unread = generation.tokens[len(held.tokens) :]
        if len(unread) > self._chunk:
            self._read(held, unread[: self._chunk])
            return
        reason = generation.accept(self._model.next(held, unread))
        if reason is not None:
            self._end(generation, reason)

    def _read(self, held: KeyValues, tokens: Sequence[int]) -> None:
        start = time.perf_counter()
        self._model.read(held, tokens)
        fitting = CHUNK_SECONDS / (time.perf_counter() - start)
        # By no more than half or double at a time: one interruption by another process says little.
        size = round(self._chunk * min(max(fitting, 0.5), 2.0))
        self._chunk = min(max(size, CHUNK_LEAST), CHUNK_MOST)

    def _ready(self, generation: Generation) -> KeyValues | None:
        """What the answer has read, with room for the next step; None: its turn is over, there is no room."""
        held = generation.held
        assert held is not None
        length = len(generation.tokens)
        if self._model.is_long(length) != held.long:
            self._put_back(generation)  # it has outgrown the short position factors: all is read again
            return None
        while held.room.tokens < length:
            if self._pool.grow(held):
                continue
            if len(self._active) == 1:
                self._end(generation, "length")
                return None
            # The one that came last makes room, so that the others come to their end.
            last = self._active[-1]
            self._put_back(last)
            if last is generation:
                return None
        return held

    def _put_back(self, generation: Generation) -> None:
        """Let an answer wait; it goes on later, reading again what has been forgotten by then."""
        self._leave(generation, keep=True)
        self._waiting.insert(0, generation)

    def _end(self, generation: Generation, reason: FinishReason) -> None:
        self._leave(generation, keep=True)
        generation.finish(reason)

    def _fail(self, generation: Generation, error: Exception) -> None:
        self._leave(generation, keep=False)
        if out_of_memory(error):
            self._pool.clear()
            if self._model.device.type != "cpu":
                torch.accelerator.empty_cache()
            length = len(generation.tokens)
            error = EngineError(f"There is not enough memory to answer a conversation of {length:,} tokens.")
        elif not isinstance(error, EngineError):
            error = EngineError(f"The answer failed: {first_line(error)}")
        generation.fail(error)

    def _leave(self, generation: Generation, *, keep: bool) -> None:
        if generation.held is not None:
            self._pool.close(generation.held, keep=keep)
            generation.held = None
        if generation in self._active:
            self._active.remove(generation)


def _spare_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return psutil.virtual_memory().available // 4
