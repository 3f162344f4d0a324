"""The states of the chat, each reached the way a person reaches it, for pictures and measurements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from textual.pilot import Pilot

from phichat.errors import UnavailableError
from phichat.screens.chat.transcript import Transcript
from tests.screens.driving import ask, chat, phase, picture, settled, until, write
from tests.screens.scripted import Script
from tests.screens.states_azure import STATES_AZURE
from tests.screens.states_chat import CHAT_STATES
from tests.screens.states_configure import STATES_CONFIGURE, WELCOME
from tests.screens.states_data import DATA_STATES
from tests.screens.states_deploy import STATES_DEPLOY
from tests.screens.states_flow import STATES_FLOW
from tests.screens.states_train import STATES_TRAIN

State = Callable[[Pilot[None], Script], Awaitable[None]]

QUESTION = "Who founded Microsoft, and when?"
ANSWER = """Microsoft was founded by **Bill Gates** and *Paul Allen* in 1975.

1. They wrote `BASIC` for the Altair 8800.
2. They moved to Bellevue in 1979.
   - It is near Seattle.

```python
def age(year: int) -> int:
    return year - 1975
```

| Year | Event |
|---|---|
| 1975 | Founded |
| 1986 | Went public |
"""


async def empty(pilot: Pilot[None], script: Script) -> None:
    script.loaded.set()
    await phase(pilot, "ready")


async def loading(pilot: Pilot[None], script: Script) -> None:
    await phase(pilot, "preparing")
    await ask(pilot, QUESTION)
    await write(pilot, "And who")


async def offered(pilot: Pilot[None], script: Script) -> None:
    await phase(pilot, "offered")


async def declined(pilot: Pilot[None], script: Script) -> None:
    await phase(pilot, "offered")
    await pilot.press("escape")
    await phase(pilot, "declined")


async def downloading(pilot: Pilot[None], script: Script) -> None:
    await phase(pilot, "offered")
    await pilot.press("ctrl+g")
    await until(pilot, script.deploying.is_set)
    script.progress(34e6)
    await until(pilot, lambda: "Downloading SmolLM2 34 of 98 MB" in picture(pilot))


async def broken(pilot: Pilot[None], script: Script) -> None:
    script.deploy_error = UnavailableError("The model's server ended before it was ready.", "phichat check")
    script.loaded.set()
    await phase(pilot, "failed")


async def streaming(pilot: Pilot[None], script: Script) -> None:
    await empty(pilot, script)
    await ask(pilot, QUESTION)
    script.answers.put_nowait(ANSWER[:140])
    await until(pilot, lambda: "Altair" in picture(pilot))


async def stopped(pilot: Pilot[None], script: Script) -> None:
    await streaming(pilot, script)
    await pilot.press("escape")
    await settled(pilot)


async def failed(pilot: Pilot[None], script: Script) -> None:
    await streaming(pilot, script)
    script.answers.put_nowait(UnavailableError("The server does not answer any more.", "phichat status"))
    await settled(pilot)


async def done(pilot: Pilot[None], script: Script) -> None:
    await streaming(pilot, script)
    script.say(ANSWER[140:])
    await settled(pilot)
    # What it cost is measured, and would be another in every picture.
    (turn,) = chat(pilot).conversation.turns
    assert turn.reply is not None
    turn.reply = turn.reply.model_copy(update={"completion_tokens": 97, "ttft_s": 0.42, "tokens_per_s": 23.7})
    view = chat(pilot).query_one(Transcript).view(turn)
    assert view is not None
    await view.settle()
    await pilot.pause()


async def focused(pilot: Pilot[None], script: Script) -> None:
    await stopped(pilot, script)
    await pilot.press("shift+tab")


async def explained(pilot: Pilot[None], script: Script) -> None:
    await stopped(pilot, script)
    await pilot.press("f1")
    await until(pilot, lambda: "esc closes" in picture(pilot))


WITHOUT_WEIGHTS: dict[str, State] = {
    "offered": offered,
    "declined": declined,
    "downloading": downloading,
    **WELCOME,
}
WITH_WEIGHTS: dict[str, State] = {
    "empty": empty,
    "loading": loading,
    "broken": broken,
    "streaming": streaming,
    "stopped": stopped,
    "failed": failed,
    "done": done,
    "focused": focused,
    "explained": explained,
    **CHAT_STATES,
}
ELSEWHERE = STATES_AZURE | STATES_CONFIGURE | DATA_STATES | STATES_TRAIN | STATES_DEPLOY | STATES_FLOW
STATES = WITH_WEIGHTS | WITHOUT_WEIGHTS | ELSEWHERE
