"""What preparing data costs: `python benchmarks/bench_data.py [--rows N] [--model FOLDER]`.

Generates conversations of UltraChat's shape (200,000 make about 1.3 GB) in a temporary folder and prepares
them several times, each check by itself. The rate of the core pass (read, parse, validate, hash, divide,
write) is compared with parsing alone by the fastest JSON library that is installed, in the same run.
Times are processor seconds, user and system, unless they are called wall: other processes do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import psutil

from phichat.data import DataOptions, ModelFiles, prepare
from phichat.data.options import Treatment

LIBRARIES = ("json", "orjson", "msgspec", "msgspec, typed")
REPEATS = 3
PARSE = """
import sys, time
from pathlib import Path
name, path = sys.argv[1:]
if name == "orjson":
    from orjson import loads as parse
elif name == "json":
    from json import loads as parse
else:
    import msgspec
    from phichat.data.conversation import Conversation
    parse = msgspec.json.Decoder(*([Conversation] if name == "msgspec, typed" else [])).decode
start = time.process_time()
with open(path, "rb", buffering=1 << 20) as file:
    for line in file:
        parse(line)
print(time.process_time() - start)
"""


def vocabulary() -> list[str]:
    """The words of Python's own manual, as often as they are there: the tokens of English, no order of it."""
    words = [word for topic in topics.values() for word in topic.split() if word.strip(".,;:()").isalpha()]
    rare = ["café", "naïve", "—", "“quoted”", '"so"', "end.\n\n", "1984", "3.5", "2:1"]
    return words + rare * (len(words) // 1000)


def generate(path: Path, rows: int) -> None:
    """Write `rows` conversations of 4 to 10 messages, about 6.5 kB each."""
    source = random.Random(7)
    words = vocabulary()
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            messages = []
            for _ in range(source.randint(2, 5)):
                asked = " ".join(source.choices(words, k=source.randint(10, 60)))
                said = " ".join(source.choices(words, k=source.randint(130, 370)))
                messages += [{"content": asked, "role": "user"}, {"content": said, "role": "assistant"}]
            row = {"prompt": messages[0]["content"], "prompt_id": f"{source.getrandbits(256):064x}"}
            file.write(json.dumps({**row, "messages": messages}, ensure_ascii=False) + "\n")


def parse_seconds(name: str, path: Path) -> float | None:
    """Processor seconds that a library needs to parse every line; None if it is not installed."""
    ran = subprocess.run([sys.executable, "-c", PARSE, name, str(path)], capture_output=True, text=True)
    return float(ran.stdout) if ran.returncode == 0 else None


def spin_seconds() -> float:
    """Wall time of a fixed amount of work: what grows here is other processes' doing, not ours."""
    start = time.perf_counter()
    sum(number * number for number in range(5_000_000))
    return time.perf_counter() - start


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """The most bytes that all child processes together had resident, looked at 20 times a second."""
    peak, ended = [0], threading.Event()

    def look() -> None:
        me = psutil.Process()
        while not ended.wait(0.05):
            total = 0
            for child in me.children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def bare(model: ModelFiles | None, **chosen: Any) -> DataOptions:
    """Options with every check across rows off, but those that are chosen."""
    off: Treatment = "off"
    checks = {"duplicates": off, "near_duplicates": off, "leakage": off, "personal": off, "tokens": False}
    return DataOptions.model_validate({**checks, "model": model, **chosen})


def measure(name: str, source: Path, options: DataOptions, size: float) -> float:
    """Prepare once; prints the processor seconds, and returns them."""
    with tempfile.TemporaryDirectory(dir=source.parent) as out, peak_memory() as peak:
        before = spin_seconds()
        start, used = time.perf_counter(), children_seconds()
        prepared = asyncio.run(prepare(str(source), options, Path(out), lambda _: None))
        seconds, used = time.perf_counter() - start, children_seconds() - used
        counts = prepared.manifest.counts
    print(
        f"{name:34} {used:8.1f} s {size / used:8.0f} MB/s   wall {seconds:6.1f} s"
        f"   peak {peak[0] / 2**20:6.0f} MiB   train {counts.train:,} eval {counts.eval:,}"
        f"   idle control {before:.2f} → {spin_seconds():.2f} s",
        flush=True,
    )
    return used


def children_seconds() -> float:
    """Processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Generate, measure, print, delete."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--core-only", action="store_true", help="leave the checks across rows out")
    parser.add_argument("--model", type=Path, help="a model folder, to count tokens with its tokenizer")
    args = parser.parse_args()
    known = ModelFiles(name="none", special_tokens=("<|im_start|>", "<|im_end|>", "<|endoftext|>"))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "conversations.jsonl"
        generate(source, args.rows)
        size = source.stat().st_size / 1e6
        print(f"{args.rows:,} conversations, {size:,.0f} MB, {os.cpu_count()} cores, load {os.getloadavg()}")
        parsed = {name: parse_seconds(name, source) for name in LIBRARIES}
        for name, seconds in parsed.items():
            told = f"{seconds:8.1f} s {size / seconds:8.0f} MB/s" if seconds else "    not installed"
            print(f"parsing alone, {name:19} {told}", flush=True)
        fastest = min((name for name in LIBRARIES if parsed[name]), key=lambda name: parsed[name] or 0)
        ratios = []
        for _ in range(REPEATS):
            core = measure("core pass", source, bare(known), size)
            ratios.append((parse_seconds(fastest, source) or 0) / core)
        told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"core pass / parsing alone: {statistics.median(ratios):.2f} ({told}; wanted: 0.20 or more)")
        if args.core_only:
            return
        measure("core pass + duplicates", source, bare(known, duplicates="report", leakage="report"), size)
        measure("core pass + near duplicates", source, bare(known, near_duplicates="report"), size)
        measure("core pass + personal data", source, bare(known, personal="report"), size)
        if args.model:
            model = ModelFiles(name=args.model.name, folder=args.model)
            measure("core pass + token counts", source, bare(model, tokens=True), size)


if __name__ == "__main__":
    main()
