"""The standard tests of deployments: deploy, deployments and delete."""

from __future__ import annotations

import asyncio

from phichat.backends.base import AnyBackend, ChatOptions, Deployment, DeploySpec, Job, Message
from phichat.errors import NotFoundError
from phichat.events import Step, dump, parse
from phichat.testing.harness import Harness, ignore
from phichat.testing.standard import standard

NOWHERE = Deployment(id="no-such-deployment")
HELLO = [Message(role="user", content="Tell me about the sea.")]
SHORT = ChatOptions(max_new_tokens=4, seed=1)


class DeploymentTests(Harness):
    """A deployment is known by its name, survives whoever made it, and is gone when it is deleted."""

    @standard
    async def test_deploy_reports_steps(self, backend: AnyBackend) -> None:
        """Who waits sees what is being done, and each step comes to its end."""
        events = (await self.deployed()).events
        steps = {event.name: event.state for event in events if isinstance(event, Step)}
        assert steps, "deploy() reported no Step: report one for each thing that it does, when it is done."
        open_steps = [name for name, state in steps.items() if state not in ("done", "reused")]
        assert not open_steps, (
            f"deploy() left the step {open_steps[0]!r} {steps[open_steps[0]]}: report it again, as done or "
            "reused, when it is."
        )
        for event in events:
            assert parse(dump(event)) == event, (
                f"deploy() reported {event!r}, which does not come back from JSON as it was: report the "
                "events of phichat.events themselves, with plain values."
            )

    @standard
    async def test_deploy_is_idempotent(self, backend: AnyBackend) -> None:
        """The same name is the same deployment, and it is listed once."""
        first = (await self.deployed()).deployment
        second = await self.deploy(backend, "shared")
        assert first.id == second.id, (
            f"deploy() made {first.id!r} and {second.id!r} of one name: return the deployment of that name "
            "if there is one."
        )
        count = (await self._listed(backend)).count(first.id)
        assert count == 1, (
            f"deployments() lists {first.id!r} {count} times after deploy(): list every deployment once."
        )

    @standard
    async def test_a_new_process_finds_the_deployment(self, backend: AnyBackend) -> None:
        """A deployment answers somebody who was not there when it was made."""
        deployment = (await self.deployed()).deployment
        pieces = await self.in_a_new_process(deployment=deployment.model_dump())
        assert pieces.strip(), (
            "A new process got an empty answer from the deployment: keep what chat() needs in workdir or in "
            "the service."
        )

    @standard
    async def test_deployments_are_healthy(self, backend: AnyBackend) -> None:
        """What was deployed a moment ago is said to be healthy."""
        deployment = (await self.deployed()).deployment
        states = await self.call(backend.deployments)
        healthy = [state for state in states if state.deployment.id == deployment.id and state.healthy]
        assert healthy, (
            f"deployments() does not show {deployment.id!r} as healthy: wait in deploy() until it answers."
        )

    @standard
    async def test_deploy_refuses_a_missing_model(self, backend: AnyBackend) -> None:
        """A model that is not there is NotFoundError, and nothing is left behind."""
        before = await self._listed(backend)
        for model in (Job(id="no-such-job"), str(self.bench.folder / "no-such-model")):
            spec = DeploySpec(name=self.named("nothing"), model=model)
            await self.missing(backend.deploy, spec, ignore)
        left = set(await self._listed(backend)) - set(before)
        assert not left, (
            f"deploy() refused a missing model and left {sorted(left)} behind: look for the model first."
        )

    @standard
    async def test_deploy_can_be_interrupted(self, backend: AnyBackend) -> None:
        """Ctrl-C in the middle costs nothing: the same call again finishes the work."""
        spec = DeploySpec(name=self.named("interrupted"), model=await self.model())
        await self._interrupt(backend, spec, at_first_report=False)
        await self._interrupt(backend, spec, at_first_report=True)
        deployment = await self.deploy(backend, "interrupted")
        answer = await self.collect(backend.chat, deployment, HELLO, SHORT)
        assert answer, (
            "deploy() was interrupted, called again, and then did not answer: finish what is half done."
        )
        await self.call(backend.delete, deployment)

    @standard
    async def test_delete_is_idempotent(self, backend: AnyBackend) -> None:
        """Deleting what is gone already, or never was, is no error."""
        deployment = await self.deploy(backend, "deleted")
        await self.call(backend.delete, deployment)
        await self.call(backend.delete, deployment)
        await self.call(backend.delete, NOWHERE)

    @standard
    async def test_delete_is_final(self, backend: AnyBackend) -> None:
        """What is deleted is not listed and does not answer, not even somebody who knew it before."""
        deployment = await self.deploy(backend, "final")
        async with self.opened() as other:
            await self.collect(other.chat, deployment, HELLO, SHORT)
            await self.call(backend.delete, deployment)
            assert deployment.id not in await self._listed(backend), (
                f"delete() left {deployment.id!r} in deployments(): remove it there as well."
            )
            for instance in (backend, other):
                error = await self.refusal(instance.chat, deployment, HELLO, SHORT)
                assert isinstance(error, NotFoundError), (
                    f"delete() left {deployment.id!r} answering: end what serves it, and let chat() raise "
                    "NotFoundError from then on."
                )

    @standard
    async def test_deploying_leaves_the_event_loop_free(self, backend: AnyBackend) -> None:
        """Nothing blocks while a model is deployed, listed and deleted."""
        await self.model()
        async with self.responsive(backend.deploy):
            deployment = await self.deploy(backend, "responsive")
        async with self.responsive(backend.deployments):
            await self.call(backend.deployments)
        async with self.responsive(backend.delete):
            await self.call(backend.delete, deployment)

    async def _interrupt(self, backend: AnyBackend, spec: DeploySpec, *, at_first_report: bool) -> None:
        """Begin to deploy and cancel that, at once or when the first thing is reported."""
        reported = asyncio.Event()
        deploying = asyncio.create_task(backend.deploy(spec, lambda _: reported.set()))
        waiting = asyncio.create_task(reported.wait() if at_first_report else asyncio.sleep(0))
        await asyncio.wait([deploying, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        deploying.cancel()
        await asyncio.wait([deploying], timeout=self.deploy_seconds)
        assert deploying.done(), "deploy() went on when it was cancelled: let CancelledError pass."
        if not deploying.cancelled():
            deploying.exception()  # an error will come again, in the deploy that is not interrupted

    async def _listed(self, backend: AnyBackend) -> list[str]:
        return [state.deployment.id for state in await self.call(backend.deployments)]
