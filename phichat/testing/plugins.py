"""The standard tests of the plugin as a package: what it offers, and what it costs to load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from phichat.backends.base import AnyBackend, Check
from phichat.backends.registry import Registry
from phichat.testing.harness import Harness, run_python
from phichat.testing.standard import standard

SDKS = (
    *(
        "torch",
        "transformers",
        "trl",
        "peft",
        "accelerate",
        "datasets",
        "tensorflow",
        "jax",
        "sklearn",
        "pandas",
    ),
    *("azure", "boto3", "botocore", "google.cloud", "mlflow", "promptflow", "openai", "textual"),
)
"""What costs so much to import that nobody should pay for it who only wants to see a list of backends."""

LOADED = """
import sys
from phichat.backends.registry import Registry
Registry().load(sys.argv[1])
print(*sys.modules)
"""


class PluginTests(Harness):
    """A plugin is loaded by name, describes itself, and says what is missing before anything fails."""

    @standard
    async def test_importing_loads_no_sdk(self, backend: AnyBackend) -> None:
        """Listing backends and drawing their forms is quick, whatever they build on."""
        code, output, errors = await run_python(["-c", LOADED, self.backend_name], "", self.deploy_seconds)
        assert code == 0, f"The backend could not be loaded in a new process: {errors.strip()[-300:]}"
        found = [sdk for sdk in SDKS if any(f"{name}.".startswith(f"{sdk}.") for name in output.split())]
        assert not found, (
            f"Importing the plugin imports {', '.join(found)}: import it inside the methods that need it."
        )

    @standard
    async def test_the_backend_is_described(self, backend: AnyBackend) -> None:
        """People pick a backend by its title, and it is listed without an error."""
        told = {each.name: each for each in Registry().describe()}[self.backend_name]
        assert not told.error, f"`phichat backends` shows an error: {told.error}"
        assert told.title.strip(), (
            "The backend has no title: set `title` to what people should read in a list."
        )

    @standard
    async def test_settings_are_described(self, backend: AnyBackend) -> None:
        """A setting is a field of a form, and needs words."""
        fields = type(backend).settings_type.model_fields
        silent = [name for name, field in fields.items() if not (field.description or "").strip()]
        assert not silent, (
            f"The setting {silent[0]!r} has no description: write Field(description=…), a sentence for the "
            "form and the reference."
        )

    @standard
    async def test_an_unknown_setting_is_refused(self, backend: AnyBackend) -> None:
        """A misspelt key in phichat.toml must not be ignored."""
        assert type(backend).settings_type.model_config.get("extra") == "forbid", (
            "The settings take keys that they do not know: leave `extra` of model_config at 'forbid'."
        )

    @standard
    async def test_check_answers(self, backend: AnyBackend) -> None:
        """`check` says what must be in place, in names and words."""
        checks = await self.call(backend.check)
        assert checks, "check() returned nothing: return one Check for each thing that must be in place."
        for check in checks:
            assert check.name, f"check() returned {check!r}: give every Check a name."

    @standard
    async def test_check_never_raises(self, backend: AnyBackend) -> None:
        """On a bare machine, where nothing is installed, configured or reachable, it still answers."""
        await self._check_a_bare_machine()

    @standard
    async def test_a_failing_check_says_its_fix(self, backend: AnyBackend) -> None:
        """What is not in place comes with what to do about it."""
        for check in [*await self.call(backend.check), *await self._check_a_bare_machine()]:
            assert check.ok or check.fix.strip(), (
                f"The check {check.name!r} fails and says no fix: name the command to type, or what to do."
            )

    @standard
    async def test_checking_leaves_the_event_loop_free(self, backend: AnyBackend) -> None:
        """Nothing blocks while the checks run."""
        async with self.responsive(backend.check):
            await self.call(backend.check)

    async def _check_a_bare_machine(self) -> list[Check]:
        settings_type = Registry().load(self.backend_name).settings_type
        checks: list[Check] = []
        for settings in ({}, self.settings):
            try:
                settings_type.model_validate(dict(settings))
            except ValidationError:
                continue  # without its required settings it is never opened
            with _bare_machine(self.bench.folder / "bare"):
                backend = Registry().open(self.backend_name, settings, self.bench.folder / "bare" / "backend")
                checks += await self.call(backend.check)
                await backend.aclose()
        return checks


@contextmanager
def _bare_machine(folder: Path) -> Iterator[None]:
    """An environment with no programs, no home, no cache and no way out."""
    homes = {name: str(folder) for name in ("HOME", "USERPROFILE", "PHICHAT_HOME", "PHICHAT_CACHE")}
    # Nobody listens on port 9: whoever wants to go out is refused at once.
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**homes, **proxies, "PATH": ""}.items():
            patch.setenv(name, value)
        yield
