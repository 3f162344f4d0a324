"""A new project's file: complete, commented, and valid however much of it is uncommented."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import Field, SecretStr

from phichat.backends.azureml.settings import AzureMLSettings
from phichat.backends.base import Settings
from phichat.backends.local.settings import LocalSettings
from phichat.backends.registry import Registry
from phichat.config import Config, backend_settings
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
    wanted |= {f"backends.local.{'.'.join(key)}" for key, _ in keys_of(LocalSettings)}
    assert there == wanted
    backend_settings(loaded, "local", LocalSettings)


def test_the_settings_of_a_cloud_are_there_too(place: Place) -> None:
    text = new_project({"backend": "azureml", "backends.azureml.budget": "20"})
    loaded = place.load(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE))
    settings = backend_settings(loaded, "azureml", AzureMLSettings)
    assert settings == AzureMLSettings(budget=20)
    assert "\nbudget = 20.0 " in text, "what was given as text is a number"


def test_a_secret_of_a_backend_is_told_where_it_belongs(place: Place) -> None:
    class Own(Settings):
        zone: str = Field(description="Where it is.")
        token: SecretStr | None = Field(default=None, description="Opens it.")

    class Offers(Registry):
        def load(self, name: str) -> Any:
            return SimpleNamespace(settings_type=Own)

    text = new_project({"backend": "cloud"}, Offers())
    assert "# token is a secret: phichat secret set backends.cloud.token  # Opens it.\n" in text
    assert place.load(text.replace('# zone = ""', 'zone = "b"')).config.backends == {"cloud": {"zone": "b"}}


def test_given_values_are_set(place: Place) -> None:
    flags = {"backend": "cloud", "data.seed": "7", "chat.system": 'Say "hi".\n', "backends.cloud.zone": "b"}
    config = place.load(new_project(flags)).config
    assert (config.backend, config.data.seed, config.chat.system) == ("cloud", 7, 'Say "hi".\n')
    assert config.backends == {"cloud": {"zone": "b"}}


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be a whole number"):
        new_project({"data.seed": "x"})
