"""Secrets are kept by the keyring, found in the environment first, and masked everywhere."""

from __future__ import annotations

import keyring
import pytest
from keyring.backends import fail, null
from pydantic import SecretStr

from phichat.config import redact, secret
from phichat.errors import ConfigError
from tests.config.keyrings import LockedKeyring, MemoryKeyring


def test_a_secret_is_kept_found_and_deleted(safe: MemoryKeyring) -> None:
    assert secret.find("hf_token", {}) is None
    assert secret.source_of("hf_token", {}) == ""
    secret.store("hf_token", "abc-123")
    assert safe.kept == {("phichat", "hf_token"): "abc-123"}
    assert secret.find("hf_token", {}) == SecretStr("abc-123")
    assert secret.source_of("hf_token", {}) == "keyring"
    assert secret.delete("hf_token") is True
    assert secret.delete("hf_token") is False
    assert secret.find("hf_token", {}) is None


def test_the_environment_comes_first(safe: MemoryKeyring) -> None:
    secret.store("hf_token", "kept")
    both = {"HF_TOKEN": "theirs", "PHICHAT_HF_TOKEN": "ours"}
    assert secret.find("hf_token", both) == SecretStr("ours")
    assert secret.find("hf_token", {"HF_TOKEN": "theirs"}) == SecretStr("theirs")
    assert secret.source_of("hf_token", {"HF_TOKEN": "theirs"}) == "HF_TOKEN"
    assert secret.find("backends.x.key", {"PHICHAT_BACKENDS__X__KEY": "k"}) == SecretStr("k")
    assert secret.find("backends.x.key", {"HF_TOKEN": "theirs"}) is None


@pytest.mark.parametrize("useless", [null.Keyring, fail.Keyring])
def test_a_machine_without_a_keyring_is_told_the_variable(useless: type[null.Keyring | fail.Keyring]) -> None:
    keyring.set_keyring(useless())
    with pytest.raises(ConfigError) as caught:
        secret.store("hf_token", "abc-123")
    assert "no keyring" in caught.value.message
    assert "PHICHAT_HF_TOKEN" in caught.value.hint
    assert secret.find("hf_token", {}) is None
    assert secret.delete("hf_token") is False


def test_a_locked_keyring_is_no_empty_one() -> None:
    keyring.set_keyring(LockedKeyring())
    with pytest.raises(ConfigError, match="locked"):
        secret.find("hf_token", {})
    assert secret.find("hf_token", {"HF_TOKEN": "theirs"}) == SecretStr("theirs")


def test_what_was_revealed_is_masked(safe: MemoryKeyring) -> None:
    safe.set_password("phichat", "hf_token", "abc-123-long")
    assert redact("abc-123-long") == "abc-123-long"
    secret.find("hf_token", {})
    assert redact("the key abc-123-long is wrong") == "the key [secret] is wrong"
    secret.remember("ab")
    assert redact("about") == "about", "short values would shred every text"


def test_the_hub_gets_the_token_that_is_kept(safe: MemoryKeyring) -> None:
    environ: dict[str, str] = {}
    secret.offer_hf_token(environ)
    assert environ == {}
    secret.store("hf_token", "kept-token")
    secret.offer_hf_token(environ)
    assert environ == {"HF_TOKEN": "kept-token"}
    environ = {"HF_TOKEN": "theirs"}
    secret.offer_hf_token(environ)
    assert environ == {"HF_TOKEN": "theirs"}
    keyring.set_keyring(LockedKeyring())
    secret.offer_hf_token({})
