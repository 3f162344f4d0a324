"""The application measuring itself in the terminal that `bench_app.py` gives it; the result is a file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from textual.pilot import Pilot

from phichat.app import PhichatApp
from phichat.events import Metric
from phichat.screens.chat.conversation import Turn
from phichat.screens.chat.screen import ChatScreen
from phichat.screens.chat.transcript import Transcript
from phichat.screens.train.screen import TrainScreen
from tests.screens import schooling
from tests.screens.scripted import Script, have_weights, opener

RATE = 50
"""Tokens a second that the scripted model says: what a good graphics card makes of a small model."""
BEAT_S = 0.005
STEPS_A_SECOND = 10
ANSWERS = {
    "prose": "The lamp turned, and the sea kept its own slow count of the nights and of the ships. " * 80,
    "fence": "```python\n" + "".join(f"lamp_{n} = turn(lamp_{n - 1}, degrees={n})\n" for n in range(1, 200)),
    "list": "".join(f"- ship number {n} passed the light at night\n" for n in range(200)),
    "table": "| ship | hour |\n|---|---|\n" + "".join(f"| number {n} | {n % 24} |\n" for n in range(200)),
}
TURN = "Some *prose* with `code`.\n\n- one\n- two\n\n```python\nprint(1)\n```\n"


async def stream(pilot: Pilot[object], script: Script, text: str, tokens: int) -> object:
    """Say a text token by token until stopped: how late the event loop is in ms, and CPU seconds."""
    if text:
        await pilot.press("H", "i", "enter")
    lags: list[float] = []
    began = time.process_time()
    beating = asyncio.create_task(_beat(lags))
    pieces = [text[start : start + 4] for start in range(0, len(text), 4)] or [""] * tokens
    start = time.perf_counter()
    for number, piece in enumerate(pieces[:tokens]):
        await asyncio.sleep(max(0.0, start + number / RATE - time.perf_counter()))
        if piece:
            script.answers.put_nowait(piece)
    beating.cancel()
    return lags, time.process_time() - began


async def training(pilot: Pilot[object], script: Script, seconds: int) -> object:
    """Follow a run, its curve in sight, that tells of ten steps a second, while others take every core."""
    app = pilot.app
    assert isinstance(app, PhichatApp) and app.session.project
    schooling.prepare(app.session.project)
    await pilot.press("alt+3")
    while not (isinstance(app.screen, TrainScreen) and app.screen.place == "setup"):
        await pilot.pause(0.05)
    app.screen.action_start()
    while not script.submitted:
        await pilot.pause(0.05)
    lags: list[float] = []
    burners = burn()
    try:
        began = time.process_time()
        beating = asyncio.create_task(_beat(lags))
        for step in range(1, seconds * STEPS_A_SECOND):
            values = {
                "loss": 3 / step**0.3,
                "learning_rate": 1e-4,
                "tokens_per_s": 800.0,
                "seconds": step / 10,
            }
            total = seconds * STEPS_A_SECOND
            script.tell(script.submitted[0].name, Metric(step=step, total=total, values=values))
            await asyncio.sleep(1 / STEPS_A_SECOND)
        beating.cancel()
        return lags, time.process_time() - began
    finally:
        for burner in burners:
            burner.kill()


def burn() -> list[subprocess.Popen[bytes]]:
    """A program for each core that does nothing but take it."""
    return [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 2)]


async def _beat(lags: list[float]) -> None:
    while True:
        due = time.perf_counter() + BEAT_S
        await asyncio.sleep(BEAT_S)
        lags.append((time.perf_counter() - due) * 1e3)


async def long_conversation(pilot: Pilot[object]) -> object:
    """Open 500 messages; take the focus from the terminal and give it back; change the theme: CPU ms."""
    screen = pilot.app.screen
    assert isinstance(screen, ChatScreen)
    screen.conversation.turns = [Turn(f"Question {number}?", TURN, "done") for number in range(250)]
    cost: dict[str, float] = {}

    @contextlib.asynccontextmanager
    async def measured(name: str) -> AsyncIterator[None]:
        began = time.process_time()
        yield
        await pilot.pause()
        cost[name] = (time.process_time() - began) * 1e3

    async with measured("open"):
        await screen.query_one(Transcript).show(screen.conversation)
    async with measured("terminal loses the focus"):
        pilot.app.app_focus = False
    async with measured("terminal gets the focus"):
        pilot.app.app_focus = True
    async with measured("change of theme"):
        pilot.app.theme = "phichat-light"
    return cost


def main(kind: str, tokens: int, result: Path) -> None:
    """Run the application with a model that is there at once, and measure."""
    home = Path(os.environ["PHICHAT_HOME"])
    have_weights(home / "cache")
    (home / "phichat.toml").touch()
    script = Script()
    script.loaded.set()
    app = PhichatApp(opener(script, home))

    async def measure(pilot: Pilot[object]) -> None:
        await app.session.deployment()
        await pilot.pause()
        if kind == "long":
            taken = await long_conversation(pilot)
            app.exit()
        elif kind == "training":
            taken = await training(pilot, script, tokens)
            app.exit()
        else:
            taken = await stream(pilot, script, ANSWERS.get(kind, ""), tokens)
        await asyncio.to_thread(result.write_text, json.dumps(taken), encoding="utf-8")

    app.run(auto_pilot=measure)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
