"""A person at the application with a project on Azure; each step goes on where the one before ended.

`Journey` is a running application over the stand-in. A test calls the steps that it needs, in their order;
what comes after them in the work goes on with the same object.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import tomlkit
from textual.pilot import Pilot

from phichat.app import PhichatApp
from phichat.runs import Run
from phichat.screens.chat.screen import ChatScreen
from phichat.screens.configure.checklist import CheckList
from phichat.screens.configure.screen import ConfigureScreen
from phichat.screens.session import Session
from phichat.screens.train.screen import TrainScreen
from phichat.workflow import Project
from tests.azure.standin.cloud import SUBSCRIPTION, Cloud
from tests.azure.standin.wire import Request
from tests.azure.training import SMALL
from tests.screens.driving import chat, picture, settled, until, write

ROOM = (120, 40)
SIZE = "Standard_E16s_v3"
CLUSTER = "phichat-e16s-v3"


class Journey:
    """The application on Azure, as far as a person has come with it."""

    def __init__(self, pilot: Pilot[None], cloud: Cloud, folder: Path) -> None:
        self.pilot = pilot
        self.cloud = cloud
        self.folder = folder

    @property
    def project(self) -> Project:
        """The project that is open."""
        assert isinstance(self.pilot.app, PhichatApp)
        found = self.pilot.app.session.project
        assert found is not None
        return found

    @property
    def session(self) -> Session:
        """What the screens share."""
        assert isinstance(self.pilot.app, PhichatApp)
        return self.pilot.app.session

    @property
    def deployments(self) -> list[str]:
        """The ids of what is deployed, as the stand-in has it."""
        found = self.cloud.endpoints.found.values()
        return [f"{endpoint.name}/{name}" for endpoint in found for name in endpoint.deployments]

    @property
    def run(self) -> Run:
        """The newest training."""
        return self.project.training.run()

    @property
    def seen(self) -> str:
        """What is on the screen, with single spaces."""
        return " ".join(picture(self.pilot).split())

    async def sees(self, *texts: str) -> None:
        """Wait until all of this is on the screen."""
        await until(self.pilot, lambda: all(text in self.seen for text in texts))

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        await self.pilot.press(*keys)

    # The steps, in their order

    async def opened(self) -> None:
        """The application is there; nothing is deployed yet, and that is said."""
        await self.sees("Nothing is deployed yet.")

    async def checked(self) -> None:
        """One has been to Configure and pressed Check."""
        await self.press("alt+1")
        await until(self.pilot, lambda: isinstance(self.pilot.app.screen, ConfigureScreen))
        await self.sees("Azure Machine Learning")
        await self.press("f5")
        await until(self.pilot, lambda: isinstance(self.pilot.app.screen.focused, CheckList))

    async def signed_in(self) -> None:
        """The sign-in has expired; the key of the check mends it, and everything is checked again."""
        await self.sees("The sign-in to Azure has expired.", "Enter: Sign in here")
        await self.press("enter")
        await self.sees("A B C D 1 2 3 4 E", "https://login.microsoft.com/device", "several tenants")
        self.cloud.login.waits = 0
        await self.sees("Signed in as ada@contoso.com.")
        await self.sees("DeviceCodeCredential", "phichat is not there yet")

    async def provisioned(self) -> None:
        """The plan was shown and carried out; the checks are all in place."""
        await self.sees("Enter: Make it ready here")
        await self.press("enter")
        await self.sees("○ to make workspace phichat", "US$0.17 a day", "Make what is missing")
        assert self.cloud.made() == [], "a plan only looks"
        await self.press("y")
        await self.sees("All is ready.", "✓ made workspace phichat")
        await self.press("escape")
        await self.sees("10 of 10 are in place.")

    async def prepared(self) -> None:
        """The demo is the project's data."""
        await self.press("alt+2")
        await self.sees("What is the model to learn?")
        await self.press("d")
        await self.sees("t Train")

    async def planned(self) -> None:
        """One is at Train, and sees what it would cost."""
        await self.press("alt+3")
        await until(self.pilot, lambda: isinstance(self.pilot.app.screen, TrainScreen))
        await self.sees("Cost US$", f"({SIZE}, prices.azure.com, ")
        await self.sees("Spent US$0.00 by list price; US$50.00 of the budget of US$50.00 is left")
        await self.sees("Quota Standard ESv3 Family: ", "Total Cluster Dedicated Regional vCPUs: ")

    async def trained(self) -> None:
        """The training was agreed to, followed and is over."""
        await self.press("ctrl+s")
        await self.sees("Go on?", "US$", "It is ended before it costs more than US$50.00.")
        assert not any("/jobs/" in made for made in self.cloud.made())
        await self._ran()

    async def deployed(self) -> str:
        """The run's model was deployed, after a look at the steps and the price, and the chat is open.

        Returns the id of the deployment that answers.
        """
        made = len(self.cloud.made())
        await self.press("d")
        await self.sees("Go on?", "US$0.27 an hour", "smoke test", "traffic")
        assert len(self.cloud.made()) == made, "nothing is made before that was answered"
        await self.press("y")
        await until(self.pilot, lambda: isinstance(self.pilot.app.screen, ChatScreen))
        await self.sees("US$0.27 an hour" if len(self.deployments) == 1 else "US$0.53 an hour")
        return self.session.answering

    async def chatted(self, question: str = "Tell me about the sea.") -> str:
        """A question was answered as it came, by the container; returns what is said below the answer."""
        await write(self.pilot, question)
        await self.press("enter")
        await settled(self.pilot)
        turn = chat(self.pilot).conversation.last
        assert turn is not None and turn.state == "done", turn
        assert turn.reply is not None and turn.reply.completion_tokens and chat(self.pilot)._pieces > 1
        assert not turn.doubtful, "what was trained is what is served"
        return turn.source

    async def doubted(self) -> None:
        """A model that was trained with another template than it is asked in was asked, and that is told."""
        for endpoint in self.cloud.endpoints.found.values():
            for live in endpoint.deployments.values():
                live.body["tags"]["phichat-template"] = "another"
        await self.press("alt+5")
        await write(self.pilot, "Is it there?")
        await self.press("enter")
        await self.sees("▲ asked in another chat template than the model was trained with")
        await self.press("alt+4")

    async def trained_again(self) -> None:
        """The same was trained once more, as another version."""
        before = self.run.name
        await self.press("alt+3")
        await self.sees("✓ succeeded", "g Train again")
        await self.press("g")
        await self.sees("Go on?", "US$")
        await self._ran()
        assert self.run.name != before
        await self.cooled()

    async def rolled_back(self) -> str:
        """The earlier version answers again; returns its deployment's id."""
        await self.press("alt+4")
        await self.sees("r Roll back", "for a rollback")
        await self.press("r")
        await self.sees("answers all requests again.")
        return self.session.answering

    async def taken_down(self) -> None:
        """All that was alive is gone, and nothing costs any more."""
        await until(self.pilot, lambda: "a All down" in self.seen)
        await self.press("a")
        await self.sees("Stop and delete all that is alive?", "US$0.27 an hour", "cluster")
        await self.press("y")
        await self.sees("Nothing of it is alive any more.", "Nothing is deployed yet.")
        await until(self.pilot, lambda: "an hour" not in self.seen)

    async def cooled(self) -> None:
        """The machine of the training was seen to go."""
        await self.sees("The machine goes by itself; now: 1 node, soon 0, US$1.06 an hour.")
        self.cloud.compute.size(CLUSTER, 0, 0)
        await self.sees("✓ The machine is gone: it costs nothing any more.")

    async def evaluated(self) -> None:
        """The model was compared with the base model, and the report is on this machine."""
        await self.press("e")
        await self.sees("Comparing takes a job of its own, at US$1.06 an hour", "Go on?")
        await self.press("y")
        await self.sees("perplexity", "BASE", "TUNED", "report.html")

    async def fetched(self) -> Path:
        """The model is on this machine; its folder."""
        place = self.folder / self.run.name
        await self.press("f")
        await self.sees("To chat with it here: phichat deploy")
        return place

    async def _ran(self) -> None:
        self.cloud.after = self._warm
        await self.press("y")
        await self.sees("● running", "h, US$0.00 so far")
        await until(self.pilot, lambda: self.run.finished)
        self.cloud.after = lambda request: None
        await self.sees("✓ succeeded", "h, US$0.0")

    def _warm(self, request: Request) -> None:
        """A job that is submitted brings up a machine."""
        if request.method == "PUT" and "/jobs/" in request.path:
            self.cloud.compute.size(CLUSTER, 1, 0)


@contextlib.asynccontextmanager
async def journey(cloud: Cloud, folder: Path, base_model: Path, **settings: object) -> AsyncIterator[Journey]:
    """A project on Azure in that folder, which trains a tiny model on a machine without a GPU; it is open."""
    told = {"subscription_id": SUBSCRIPTION, "train_size": SIZE, "budget": 50.0, **settings}
    chosen = {name: value for name, value in SMALL.items() if name != "device"}
    config = {
        "backend": "azureml",
        "base_model": str(base_model),
        "backends": {"azureml": told},
        "train": chosen,
        # The model has hardly learned anything: drawn at random, an answer may end with its first word.
        "chat": {"temperature": 0.0},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "phichat.toml").write_text(tomlkit.dumps(config), encoding="utf-8")
    app = PhichatApp(lambda: Project.open(folder))
    app.animation_level = "none"
    async with app.run_test(size=ROOM, notifications=True) as pilot:
        yield Journey(pilot, cloud, folder)
