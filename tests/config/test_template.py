"""A new project's file: complete, commented, and valid however much of it is uncommented."""

from __future__ import annotations

import re

import pytest

from phichat.config import Config
from phichat.config.schema import keys_of
from phichat.config.template import new_project
from phichat.errors import ConfigError
from tests.config.conftest import Place


def test_a_new_project_is_the_defaults(place: Place) -> None:
    assert place.load(new_project({})).config == Config()


def test_every_key_is_there_and_may_be_uncommented(place: Place) -> None:
    text = re.sub(r"^# (?=\w+ = )", "", new_project({}), flags=re.MULTILINE)
    loaded = place.load(text)
    there = {key for key, origin in loaded.origins.items() if origin.source == "project"}
    wanted = {".".join(key) for key, _ in keys_of(Config)} - {"theme", "keys", "backends"}
    assert there == wanted


def test_given_values_are_set(place: Place) -> None:
    flags = {"backend": "cloud", "data.seed": "7", "chat.system": 'Say "hi".\n', "backends.cloud.zone": "b"}
    config = place.load(new_project(flags)).config
    assert (config.backend, config.data.seed, config.chat.system) == ("cloud", 7, 'Say "hi".\n')
    assert config.backends == {"cloud": {"zone": "b"}}


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be a whole number"):
        new_project({"data.seed": "x"})
