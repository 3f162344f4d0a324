"""A backend's own table is judged by its own settings, and its secrets are found."""

from __future__ import annotations

import pytest
from pydantic import Field, SecretStr

from phichat.backends.base import Settings
from phichat.config import backend_settings, redact, secret
from phichat.errors import ConfigError
from tests.config.conftest import Place
from tests.config.keyrings import MemoryKeyring


class CloudSettings(Settings):
    region: str = Field(description="Where the machines are.")
    nodes: int = Field(default=1, ge=1, description="Machines at once.")
    tags: dict[str, str] = Field(default_factory=dict, description="On everything that is made.")
    pass_phrase: SecretStr | None = Field(default=None, description="Opens the door.")


def refusal(place: Place, text: str, **sources: dict[str, str]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        backend_settings(place.load(text, **sources), "cloud", CloudSettings)  # type: ignore[arg-type]
    return caught.value


def test_all_sources_reach_the_settings(place: Place) -> None:
    loaded = place.load(
        "[backends.cloud]\nregion = 'north'\nnodes = 2\ntags.owner = 'me'\n[backends.other]\nx = 1",
        environ={"PHICHAT_BACKENDS__CLOUD__NODES": "3"},
        flags={"backends.cloud.region": "south"},
    )
    settings = backend_settings(loaded, "cloud", CloudSettings)
    assert (settings.region, settings.nodes, settings.tags) == ("south", 3, {"owner": "me"})


def test_mistakes_are_told_with_key_file_and_suggestion(place: Place) -> None:
    error = refusal(place, "[backends.cloud]\nregion = 'x'\nnodse = 2")
    assert error.message == f"backends.cloud.nodse ({place.file}:3) is not a key that phichat knows."
    assert error.hint == "Did you mean nodes under [backends.cloud]?"
    error = refusal(place, "[backends.cloud]\nregion = 'x'", environ={"PHICHAT_BACKENDS__CLOUD__NODES": "0"})
    assert (
        error.message
        == "The environment variable PHICHAT_BACKENDS__CLOUD__NODES must be at least 1, not '0'."
    )
    assert error.hint == "nodes: Machines at once."


def test_what_is_missing_is_told_with_how_to_set_it(place: Place) -> None:
    error = refusal(place, "backend = 'cloud'")
    assert error.message == "backends.cloud.region is missing."
    assert "region under [backends.cloud] in phichat.toml" in error.hint
    assert "PHICHAT_BACKENDS__CLOUD__REGION" in error.hint


def test_a_secret_field_is_refused_in_a_file_whatever_its_name(place: Place) -> None:
    error = refusal(place, "[backends.cloud]\nregion = 'x'\npass_phrase = 'sesame42'")
    assert "is a secret, and a file is no place for one" in error.message
    assert "phichat secret set backends.cloud.pass_phrase" in error.hint
    assert "sesame42" not in error.message + error.hint


def test_a_secret_in_a_file_is_refused_although_something_else_wins(place: Place) -> None:
    environ = {"PHICHAT_BACKENDS__CLOUD__PASS_PHRASE": "sesame43"}
    error = refusal(place, "[backends.cloud]\nregion = 'x'\npass_phrase = 'sesame42'", environ=environ)
    assert str(place.file) in error.message


def test_a_secret_comes_from_the_environment_else_from_the_keyring(place: Place, safe: MemoryKeyring) -> None:
    text = "[backends.cloud]\nregion = 'x'"
    assert backend_settings(place.load(text), "cloud", CloudSettings).pass_phrase is None
    secret.store("backends.cloud.pass_phrase", "from-keyring")
    found = backend_settings(place.load(text), "cloud", CloudSettings)
    assert found.pass_phrase == SecretStr("from-keyring")
    environ = {"PHICHAT_BACKENDS__CLOUD__PASS_PHRASE": "from-environment"}
    loaded = place.load(text, environ=environ)
    found = backend_settings(loaded, "cloud", CloudSettings)
    assert found.pass_phrase == SecretStr("from-environment")
    assert "from-" not in repr(found) + repr(loaded.config)
    assert redact("key from-environment or from-keyring") == "key [secret] or [secret]"


def test_the_names_of_a_backends_secrets() -> None:
    assert list(secret.secrets_of(CloudSettings, "cloud")) == ["backends.cloud.pass_phrase"]
