"""Backends that break a promise about the plugin itself."""

from __future__ import annotations

import asyncio
import subprocess
from typing import ClassVar

from phichat_markov import Markov, MarkovSettings
from pydantic import ConfigDict, Field

from phichat.backends.base import Check
from tests.plugins.variants import block, broken


@broken("test_checking_leaves_the_event_loop_free", "check() held up the event loop")
class BlockingCheck(Markov):
    async def check(self) -> list[Check]:
        block()
        return await super().check()


@broken("test_check_never_raises", "check() raised FileNotFoundError")
class CheckThatRaises(Markov):
    async def check(self) -> list[Check]:
        git = await asyncio.to_thread(subprocess.run, ["git", "--version"], capture_output=True)
        return [Check(name="git", ok=git.returncode == 0, fix="Install git.")]


@broken("test_check_answers", "check() did not end within 0.3 s", check_seconds=0.3)
class CheckThatHangs(Markov):
    async def check(self) -> list[Check]:
        await asyncio.sleep(3600)
        return await super().check()


@broken("test_check_answers", "return one Check for each thing")
class CheckOfNothing(Markov):
    async def check(self) -> list[Check]:
        return []


@broken("test_a_failing_check_says_its_fix", "says no fix")
class CheckWithoutFix(Markov):
    async def check(self) -> list[Check]:
        return [Check(name="words", ok=False, detail="There are none.")]


class SilentSettings(MarkovSettings):
    """One of them has no description."""

    temper: float = 0.5


@broken("test_settings_are_described", "The setting 'temper' has no description")
class UndescribedSetting(Markov):
    settings_type = SilentSettings


class LooseSettings(MarkovSettings):
    """Takes whatever it is given."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")
    temper: float = Field(default=0.5, description="How it feels.")


@broken("test_an_unknown_setting_is_refused", "leave `extra`")
class UnknownSettingIgnored(Markov):
    settings_type = LooseSettings


@broken("test_the_backend_is_described", "set `title`")
class NoTitle(Markov):
    title = ""
