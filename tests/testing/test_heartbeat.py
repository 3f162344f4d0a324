"""The heartbeat hears who holds up the event loop, and does not hear a machine that is merely busy."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from phichat.testing.heartbeat import Heartbeat, heartbeat


def hold_up(seconds: float) -> None:
    time.sleep(seconds)


async def listen_to(work: Callable[[], object]) -> Heartbeat:
    async with heartbeat() as heart:
        await asyncio.sleep(0.05)
        work()
        await asyncio.sleep(0.05)
    return heart


async def test_a_blocked_loop_is_silent_for_as_long_as_it_is_blocked() -> None:
    heart = await listen_to(lambda: hold_up(0.4))
    assert 0.3 < heart.silence < 0.5


async def test_the_line_that_blocks_is_named() -> None:
    heart = await listen_to(lambda: hold_up(0.4))
    assert heart.stack[-1].name == "hold_up"


async def test_a_free_loop_is_not_silent() -> None:
    heart = await listen_to(lambda: None)
    assert heart.silence < 0.2


async def test_work_in_a_thread_is_not_silence() -> None:
    async with heartbeat() as heart:
        await asyncio.to_thread(hold_up, 0.4)
    assert heart.silence < 0.2


async def test_nobody_listens_any_more_behind_the_block() -> None:
    before = threading.active_count()
    await listen_to(lambda: None)
    # The thread that waited for the listener stays in the pool of the event loop.
    assert threading.active_count() <= before + 1


LISTENER = """
import asyncio, sys
from phichat.testing.heartbeat import heartbeat

async def main():
    async with heartbeat() as heart:
        print("listening", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    print(heart.silence)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that stops a process")
def test_a_machine_that_stands_still_is_not_held_against_the_loop() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == "listening\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        process.send_signal(signal.SIGCONT)
        silence = process.communicate("\n")[0]
    assert float(silence) < 0.2
