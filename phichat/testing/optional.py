"""The standard tests of what a backend may do without; most run only where the method is overridden."""

from __future__ import annotations

from typing import Any

from phichat.backends.base import AnyBackend, Deployment, DeploySpec, Job, Resource
from phichat.errors import UnsupportedError
from phichat.testing.harness import Harness, ignore
from phichat.testing.standard import standard


class OptionalTests(Harness):
    """Overriding a method is how a backend says that it can; what it does then is held to the contract."""

    @standard
    async def test_what_is_not_supported_says_so(self, backend: AnyBackend) -> None:
        """A method that is not overridden raises UnsupportedError, in a sentence."""
        nothing, spec = Job(id="nothing"), DeploySpec(name="nothing", model="nothing")
        calls: list[tuple[Any, ...]] = [
            (backend.plan, spec),
            (backend.estimate, spec),
            (backend.fetch, nothing, self.bench.folder, ignore),
            (backend.logs, nothing),
            (backend.resources,),
            (backend.remove, Resource(kind="nothing", name="nothing", state="gone"), ignore),
            (backend.access, Deployment(id="nothing")),
        ]
        for method, *arguments in calls:
            if not backend.supports(method.__name__):
                error = await self.refusal(method, *arguments)
                assert isinstance(error, UnsupportedError) and error.message, (
                    f"{method.__name__}() is not overridden and does not say so: leave it to Backend."
                )

    @standard
    async def test_plan_changes_nothing(self, backend: AnyBackend) -> None:
        """A dry run names steps and takes none."""
        self.needs(backend, "plan")
        before = await self.call(backend.deployments)
        steps = await self.call(
            backend.plan, DeploySpec(name=self.named("planned"), model=await self.model())
        )
        assert steps, "plan() named no step for a deployment: return what deploy() would do."
        taken = [step for step in steps if step.state not in ("planned", "reused")]
        assert not taken, (
            f"plan() says that {taken[0].name!r} is {taken[0].state}: "
            "a plan has only planned or reused steps."
        )
        assert await self.call(backend.deployments) == before, "plan() changed deployments(): only look."

    @standard
    async def test_estimate_names_its_source(self, backend: AnyBackend) -> None:
        """A price is a range, and says where it comes from."""
        self.needs(backend, "estimate")
        deploy = DeploySpec(name=self.named("estimated"), model=self.base_model)
        for spec in (self.train_spec("estimated"), deploy):
            estimate = await self.call(backend.estimate, spec)
            _check_range("seconds", estimate.seconds)
            _check_range("usd", estimate.usd)
            assert estimate.source, (
                f"estimate() gave {estimate!r} without a source: say where the numbers come from."
            )

    @standard
    async def test_logs_are_lines(self, backend: AnyBackend) -> None:
        """What a job or a deployment wrote comes line by line."""
        self.needs(backend, "logs")
        for what in (await self.model(), (await self.deployed()).deployment):
            if isinstance(what, str):
                continue
            for line in await self.collect(backend.logs, what):
                assert "\n" not in line, (
                    f"logs() yielded {line!r}: yield one line at a time, without its end."
                )

    @standard
    async def test_fetch_brings_the_model(self, backend: AnyBackend) -> None:
        """The model of a job lies in a folder afterwards, however often it is fetched."""
        self.needs(backend, "fetch")
        job = (await self.trained()).job
        directory = self.bench.folder / "fetched"
        first = await self.call(backend.fetch, job, directory, ignore)
        second = await self.call(backend.fetch, job, directory, ignore)
        assert first == second and first.is_dir() and any(first.iterdir()), (
            f"fetch() returned {first}, then {second}: return the one folder that then holds the model."
        )

    @standard
    async def test_resources_list_what_is_alive(self, backend: AnyBackend) -> None:
        """What a deployment keeps alive is listed, can be removed, and is gone then."""
        self.needs(backend, "resources")
        self.needs(backend, "remove")
        before = await self._alive(backend)
        deployment = await self.deploy(backend, "alive")
        made = {name: each for name, each in (await self._alive(backend)).items() if name not in before}
        assert made, (
            "resources() lists nothing new after deploy(): list what is alive, with its cost an hour."
        )
        for resource in made.values():
            await self.call(backend.remove, resource, ignore)
            await self.call(backend.remove, resource, ignore)
        left = set(made) & set(await self._alive(backend))
        assert not left, f"remove() left {sorted(left)} alive: stop and delete it, and wait until it is gone."
        await self.call(backend.delete, deployment)

    @standard
    async def test_access_lets_an_openai_client_in(self, backend: AnyBackend) -> None:
        """Base URL and key are all that any OpenAI client needs."""
        self.needs(backend, "access")
        import httpx

        deployment = (await self.deployed()).deployment
        access = await self.call(backend.access, deployment)
        question = {
            "model": access.model,
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 4,
        }
        async with httpx.AsyncClient(timeout=self.chat_seconds) as client:
            try:
                answer = await client.post(
                    f"{access.base_url.rstrip('/')}/chat/completions",
                    headers={"Authorization": f"Bearer {access.key}"},
                    json=question,
                )
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise AssertionError(
                    f"access() gave {access.base_url!r}, where nobody answers ({error}): give the URL that "
                    "ends before /chat/completions."
                ) from error
        assert answer.status_code == 200, (
            f"access() gave {access.base_url}, which answers {answer.status_code}: {answer.text[:200]}"
        )
        assert "content" in answer.json()["choices"][0]["message"], (
            f"access() gave {access.base_url}, which does not speak the OpenAI protocol: {answer.text[:200]}"
        )

    async def _alive(self, backend: AnyBackend) -> dict[tuple[str, str], Resource]:
        found = await self.call(backend.resources)
        return {(resource.kind, resource.name): resource for resource in found}


def _check_range(name: str, values: tuple[float, float] | None) -> None:
    low, high = values or (0, 0)
    assert 0 <= low <= high, f"estimate() gave {name} from {low} to {high}: the lower end comes first."
