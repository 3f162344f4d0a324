"""What the engine costs: `python benchmarks/bench_engine.py --model FOLDER [--rounds N]`.

Ratios measured side by side in one run, one thread each, on a machine that should do nothing else; the first
rows are the control: what the same thing differs by when it is measured twice, and what an idle server costs.
CPU time is that of the process that computes; the client's own is not counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "trainer"))
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import httpx
import psutil
import torch

from contract import Message, Options, Usage
from engine import Engine

SERVE = Path(__file__).parent.parent / "trainer" / "serve.py"
STORY = "Write a very long story about a lighthouse keeper who counts the ships and the stars."
FEW, MANY = 16, 80
HISTORY = 2000
LOADING = 120
"""Seconds that a server may take to load."""


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    measured: str
    wanted: str = ""


class Baseline:
    """transformers' own `generate`, float32, in this process."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def render(self, messages: Sequence[Message]) -> Any:
        return self.tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, return_tensors="pt"
        )["input_ids"]

    def answer(self, messages: Sequence[Message], tokens: int) -> tuple[str, float]:
        """The greedy answer, and the CPU seconds that it took."""
        ids = self.render(messages)
        limits = {"min_new_tokens": tokens, "max_new_tokens": tokens}
        begun = time.process_time()
        out = self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, **limits)
        spent = time.process_time() - begun
        return self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True), spent

    def per_token(self) -> float:
        """CPU seconds for one token of a long answer, reading the question left out."""
        question: list[Message] = [{"role": "user", "content": STORY}]
        return (self.answer(question, MANY)[1] - self.answer(question, FEW)[1]) / (MANY - FEW)


class Server:
    """The real server in a process of its own."""

    def __init__(self, client: httpx.Client, process: psutil.Process) -> None:
        self._client = client
        self._process = process

    def cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def answer(self, messages: Sequence[Message], tokens: int) -> tuple[str, float, float]:
        """The greedy answer, streamed; the seconds to its first piece; the CPU seconds of the whole."""
        body = {"messages": messages, "max_tokens": tokens, "temperature": 0, "stream": True}
        before, begun, first, pieces = self.cpu(), time.perf_counter(), 0.0, []
        with self._client.stream("POST", "/v1/chat/completions", json=body) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: {"):
                    piece = json.loads(line[6:])["choices"][0]["delta"].get("content", "")
                    first = first or (time.perf_counter() - begun if piece else 0.0)
                    pieces.append(piece)
        return "".join(pieces), first, self.cpu() - before

    def per_token(self) -> float:
        """CPU seconds for one token of a long answer, reading the question left out."""
        question: list[Message] = [{"role": "user", "content": STORY}]
        return (self.answer(question, MANY)[2] - self.answer(question, FEW)[2]) / (MANY - FEW)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server with one thread, loaded."""
    command = [sys.executable, str(SERVE), "--model", str(folder), "--port", "0"]
    with subprocess.Popen(
        [*command, "--threads", "1", "--no-key"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            url = json.loads(process.stdout.readline())["uri"]
            with httpx.Client(base_url=url, timeout=LOADING) as client:
                end = time.monotonic() + LOADING
                while client.get("/health").status_code != 200 and time.monotonic() < end:
                    time.sleep(0.2)
                yield Server(client, psutil.Process(process.pid))
        finally:
            process.terminate()


def decode(baseline: Baseline, server: Server, rounds: int) -> Iterator[Row]:
    """A token through the server against a token of `generate`, in turns."""
    before = server.cpu()
    time.sleep(3)
    yield Row("control: CPU of the idle server", f"{(server.cpu() - before) / 3:.1%} of one core")
    pairs = [(baseline.per_token(), server.per_token(), baseline.per_token()) for _ in range(rounds)]
    own, served = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    control = statistics.median(last / first for first, _, last in pairs)
    ratio = statistics.median(2 * middle / (first + last) for first, middle, last in pairs)
    yield Row("control: generate against itself", f"{control:.2f}", "1")
    yield Row("decode, CPU per token: generate, float32", f"{statistics.median(own) * 1e3:.1f} ms")
    yield Row("decode, CPU per token: streamed by the server", f"{statistics.median(served) * 1e3:.1f} ms")
    yield Row("decode, ratio", f"{ratio:.2f}", "<= 1.10")


def history(baseline: Baseline, name: str) -> list[Message]:
    """A conversation of about `HISTORY` tokens that begins like no other."""
    messages: list[Message] = [{"role": "system", "content": f"You are {name}. Answer in one sentence."}]
    while baseline.render(messages).shape[1] < HISTORY:
        turn = len(messages) // 2
        messages.append({"role": "user", "content": f"What did ship number {turn} carry over the sea?"})
        cargo = f"It carried {turn} barrels of salt and {turn + 7} crates of oranges to the island."
        messages.append({"role": "assistant", "content": cargo})
    return messages


def first_token(baseline: Baseline, server: Server, rounds: int) -> Iterator[Row]:
    """The next turn of a long conversation that was read before, against reading it all."""
    read, fresh, same = [], [], []
    for number in range(rounds):
        known = history(baseline, f"keeper {number}")
        question: Message = {"role": "user", "content": "Who founded Microsoft?"}
        answer, slow, _ = server.answer([*known, question], 24)
        turn: list[Message] = [*known, question, {"role": "assistant", "content": answer}]
        turn.append({"role": "user", "content": "And what did it carry?"})
        again, quick, _ = server.answer(turn, 24)
        read.append(quick)
        fresh.append(slow)
        expected = baseline.answer(turn, 24)[0]
        same.append(expected.startswith(again))
    yield Row(f"first token, {HISTORY} tokens of history read afresh", f"{statistics.median(fresh):.2f} s")
    yield Row(f"first token, {HISTORY} tokens of history known", f"{statistics.median(read):.2f} s")
    ratio = statistics.median(quick / slow for quick, slow in zip(read, fresh, strict=True))
    yield Row("first token, ratio", f"1/{1 / ratio:.0f}", "<= 1/10")
    yield Row("first token, same greedy text as generate", f"{sum(same)} of {len(same)}", "all")


def stop(baseline: Baseline, folder: Path, rounds: int) -> Iterator[Row]:
    """From the call of `cancel` to the answer's end, in this process."""
    engine = Engine(folder, device="cpu", threads=1)
    engine_items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def until_the_end() -> None:
        while not isinstance(engine_items.get(timeout=LOADING), Usage):
            pass

    def stopped(messages: Sequence[Message], wait: float, pieces: int) -> float:
        generation = engine.chat(messages, Options(), engine_items.put)
        for _ in range(pieces):
            engine_items.get(timeout=LOADING)
        time.sleep(wait)
        begun = time.perf_counter()
        generation.cancel()
        until_the_end()
        return time.perf_counter() - begun

    begun = time.perf_counter()
    engine.chat([{"role": "user", "content": STORY}], Options(max_tokens=MANY), engine_items.put)
    until_the_end()
    token = (time.perf_counter() - begun) / MANY
    story: list[Message] = [{"role": "user", "content": STORY}]
    in_decode = [stopped(story, 0.013 * number, 5) / token for number in range(4 * rounds)]
    yield Row("stop in decode, token times", _spread(in_decode), "<= 1.5")
    in_prefill = [
        stopped(history(baseline, f"sailor {number}"), 0.3 + 0.17 * number, 0) for number in range(2 * rounds)
    ]
    yield Row(f"stop in reading {HISTORY} tokens, seconds", _spread(in_prefill), "<= 0.5")
    engine.close()


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} (at most {max(values):.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model folder, best the real SmolLM2")
    parser.add_argument("--rounds", type=int, default=3, help="times that each is measured (default: 3)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    baseline = Baseline(arguments.model)
    print(f"load average {os.getloadavg()[0]:.1f}, torch {torch.__version__}, {arguments.model}\n")
    print(f"{'':55}  {'measured':>24}  {'wanted':>8}")
    with serving(arguments.model) as server:
        show(decode(baseline, server, arguments.rounds))
        show(first_token(baseline, server, arguments.rounds))
    show(stop(baseline, arguments.model, arguments.rounds))


def show(rows: Iterator[Row]) -> None:
    for row in rows:
        print(f"{row.what:55}  {row.measured:>24}  {row.wanted:>8}", flush=True)


if __name__ == "__main__":
    main()
