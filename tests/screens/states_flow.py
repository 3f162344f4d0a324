"""The states of the flow server's screen, each reached the way a person reaches it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from textual.pilot import Pilot

from phichat.backends.base import Access, Deployment, Message, Report
from phichat.errors import ConfigError, PhichatError
from phichat.events import Piece, Reply
from phichat.flowrunner import EngineName, Environment
from phichat.flowrunner.environment import READY
from phichat.flowrunner.report import Answered
from phichat.flowrunner.server import FlowServer
from phichat.runs import FlowSpec, Run
from phichat.screens.flow.screen import FlowScreen
from phichat.workflow.batches import FlowResult
from phichat.workflow.flows import Batch, Flows
from tests.screens import schooling
from tests.screens.driving import picture, until
from tests.screens.scripted import Script
from tests.screens.states_deploy import go as go_to_deploy
from tests.screens.states_deploy import serve
from tests.screens.states_train import opened, project

METRICS = {"exact_match": 0.75, "f1": 0.883, "similarity": 0.912}


class ScriptedFlows(Flows):
    """Flows whose server and batches are only told of, and whose Prompt flow is set up at once."""

    running: FlowServer | None = None
    refusal: PhichatError | None = None
    done: FlowResult | None = None

    def check(self, name: EngineName) -> None:
        if name == "promptflow":
            _ = self.environment.python

    async def setup(self, report: Report) -> None:
        have(self.environment)

    async def serve(
        self, deployment: Deployment, name: EngineName = "promptflow", port: int = 8080
    ) -> FlowServer:
        if self.refusal:
            raise self.refusal
        self.running = FlowServer(engine=name, port=port, upstream="u", deployment=deployment.id, asks="")
        return self.running

    def server(self) -> FlowServer | None:
        return self.running

    async def stop(self) -> None:
        self.running = None

    async def chat(
        self, messages: Sequence[Message], system: str | None = None
    ) -> AsyncGenerator[Piece | Reply, None]:
        told = f"Through the flow: {messages[-1].content}"
        yield Piece(text=told)
        yield Reply(
            text=told, prompt_tokens=0, completion_tokens=0, finish_reason="stop", ttft_s=0.1, tokens_per_s=0
        )

    async def run(self, batch: Batch, deployment: Deployment, report: Report) -> FlowResult:
        failed = "The model cannot take 9000 tokens."
        lines = [Answered(line=1, question="Who?", error=failed)]
        lines += [Answered(line=number, question="Who?", answer="I.") for number in range(2, 13)]
        spec = FlowSpec(
            name="flow-evaluate",
            flow="evaluate",
            engine=batch.engine,
            data=batch.data,
            deployment=deployment.id,
        )
        self._ledger.write(Run(name=spec.name, backend=self._config.backend, spec=spec, state="failed"))
        self.done = FlowResult(
            run="flow-evaluate", lines=tuple(lines), metrics=METRICS, results=Path("/r"), report=Path("/p")
        )
        return self.done

    def latest(self, flow: str = "evaluate") -> FlowResult | None:
        return self.done


def have(environment: Environment) -> None:
    """Make the environment say that Prompt flow is there."""
    environment.folder.mkdir(parents=True, exist_ok=True)
    (environment.folder / READY).touch()


def flows(pilot: Pilot[None]) -> ScriptedFlows:
    """The flows of the open project."""
    found = project(pilot).flows
    assert isinstance(found, ScriptedFlows)
    return found


def screen(pilot: Pilot[None]) -> FlowScreen:
    """The screen of the flow server."""
    found = pilot.app.screen
    assert isinstance(found, FlowScreen)
    return found


async def offered(pilot: Pilot[None], script: Script) -> None:
    """Prompt flow is not set up."""
    await opened(pilot, script)
    serve(script)
    held = project(pilot)

    async def unreachable(deployment: Deployment | None = None) -> Access:
        return Access(base_url="", key="")

    held._flows = ScriptedFlows(
        held.config, held.state, held.folders.cache, held.training.ledger, unreachable
    )
    await go_to_deploy(pilot)
    await pilot.press("f")
    await until(pilot, lambda: "Prompt flow is not set up" in picture(pilot))


async def serving(pilot: Pilot[None], script: Script) -> None:
    """The server runs, and the chats are with it."""
    await offered(pilot, script)
    await pilot.press("u")
    await until(pilot, lambda: "Prompt flow is set up." in picture(pilot) and not screen(pilot).busy)
    await until(pilot, lambda: "s Start" in picture(pilot))
    await pilot.press("s")
    await until(pilot, lambda: "● http://127.0.0.1:8080, over smollm2" in picture(pilot))


async def failed(pilot: Pilot[None], script: Script) -> None:
    """Somebody else has the port."""
    await offered(pilot, script)
    flows(pilot).refusal = ConfigError(
        "Port 8080 of this machine cannot be used: Address already in use.", "phichat flow serve --port 8081"
    )
    await pilot.press("p", "s")
    await until(pilot, lambda: "Take port 8081" in picture(pilot))


async def evaluated(pilot: Pilot[None], script: Script) -> None:
    """What was held out was asked, and stands beside what `phichat eval` has measured."""
    await serving(pilot, script)
    schooling.prepare(project(pilot))
    await schooling.history(project(pilot), script)
    await pilot.press("e")
    await until(pilot, lambda: "11 rows answered, 1 failed" in picture(pilot))
    await until(pilot, lambda: "Similarity" in picture(pilot))


STATES_FLOW = {
    "flow-offered": offered,
    "flow-serving": serving,
    "flow-failed": failed,
    "flow-evaluated": evaluated,
}
