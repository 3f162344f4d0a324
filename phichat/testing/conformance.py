"""The suite as one class, and the rule that no part of it is left out in silence."""

from __future__ import annotations

from typing import Any

from phichat.backends.base import AnyBackend, ChatOptions, Dataset, Deployment, DeploySpec, Job
from phichat.testing.chats import ChatTests
from phichat.testing.deployments import HELLO, DeploymentTests
from phichat.testing.harness import Harness, ignore
from phichat.testing.jobs import JobTests
from phichat.testing.optional import OptionalTests
from phichat.testing.plugins import PluginTests
from phichat.testing.standard import standard


class RuleTests(Harness):
    """What holds across all methods, and for the author's test class itself."""

    def test_skips_have_reasons(self) -> None:
        """A standard test is left out by name and with a reason, and never quietly replaced."""
        suite = standard_tests()
        unknown = sorted(set(self.skips) - set(suite))
        assert not unknown, f"`skips` names {unknown[0]!r}, which is no standard test: correct the name."
        silent = sorted(name for name, reason in self.skips.items() if not reason.strip())
        assert not silent, (
            f"`skips` names {silent[0]!r} without a reason: write why your backend cannot pass it."
        )
        replaced = sorted(name for name, test in suite.items() if getattr(type(self), name) is not test)
        assert not replaced, (
            f"Your class replaces {replaced[0]}(): name it in `skips` with the reason, and give "
            "your own test a name of its own."
        )

    @standard
    async def test_only_backend_errors_leave_a_method(self, backend: AnyBackend) -> None:
        """Whatever it is given, a method works or refuses with a BackendError."""
        for name in ("", "no such thing", "../elsewhere", "a/b"):
            job, deployment = Job(id=name), Deployment(id=name)
            await self.refusal(backend.watch, job)
            await self.refusal(backend.cancel, job)
            await self.refusal(backend.deploy, DeploySpec(name=self.named("odd"), model=job), ignore)
            await self.refusal(backend.chat, deployment, HELLO, ChatOptions())
            await self.refusal(backend.delete, deployment)
            spec = self.train_spec("odd", Dataset(train_file=self.bench.folder / "missing"))
            await self.refusal(backend.submit, spec.model_copy(update={"name": name}), ignore)
        await self.refusal(backend.chat, Deployment(id="nowhere"), [], ChatOptions())


class BackendConformance(RuleTests, PluginTests, JobTests, DeploymentTests, ChatTests, OptionalTests):
    """What every backend promises; subclass it in a file of your tests and say which backend.

    >>> class TestMarkov(BackendConformance):
    ...     backend_name = "markov"
    ...     settings = {"delay": 0}
    ...     base_model = "none"
    """


def standard_tests() -> dict[str, Any]:
    """Every standard test by name."""
    suite = BackendConformance
    return {name: getattr(suite, name) for name in dir(suite) if name.startswith("test_")}
