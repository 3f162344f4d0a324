"""`phichat secret`: into the keyring, never through the command line."""

from __future__ import annotations

import getpass
from pathlib import Path

import keyring
import pytest
from keyring.backends import null

from tests.cli.conftest import Run
from tests.config.keyrings import MemoryKeyring


def test_a_secret_is_read_from_standard_input(phichat: Run, safe: MemoryKeyring) -> None:
    done = phichat("secret", "set", "hf_token", stdin="abc-123\n")
    assert (done.code, done.out, done.err) == (0, "", "hf_token is in the keyring.\n")
    assert safe.kept == {("phichat", "hf_token"): "abc-123"}


def test_a_person_types_it_unseen(phichat: Run, safe: MemoryKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda prompt, stream: f"typed at {prompt}")
    done = phichat("secret", "set", "hf_token", typed="visible")
    assert done.code == 0
    assert safe.kept == {("phichat", "hf_token"): "typed at hf_token:"}


def test_a_secret_is_never_an_argument(phichat: Run, safe: MemoryKeyring) -> None:
    done = phichat("secret", "set", "hf_token", "abc-123")
    assert done.code == 2
    assert "never an argument" in done.err
    assert "abc-123" not in done.err
    assert not safe.kept


def test_an_empty_secret_is_refused(phichat: Run, safe: MemoryKeyring) -> None:
    assert phichat("secret", "set", "hf_token", stdin="\n").code == 2
    assert not safe.kept


def test_an_unknown_name_is_refused_with_the_one_that_was_meant(phichat: Run, parrot: Path) -> None:
    done = phichat("secret", "set", "hf_tokn", stdin="x")
    assert done.code == 2
    assert "Did you mean hf_token?" in done.err
    assert "hf_token, history.key, backends.parrot.seeds" in phichat("secret", "delete", "zzz").err


def test_the_secrets_of_backends_are_known(
    phichat: Run, parrot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert phichat("secret", "set", "backends.parrot.seeds", stdin="millet").code == 0
    monkeypatch.setenv("HF_TOKEN", "abc-123")
    done = phichat("secret", "list")
    assert [line.split() for line in done.out.splitlines()] == [
        ["hf_token", "HF_TOKEN"],
        ["history.key", "not", "set"],
        ["backends.parrot.seeds", "keyring"],
    ]
    assert phichat("secret", "delete", "backends.parrot.seeds").err == "backends.parrot.seeds is deleted.\n"
    done = phichat("secret", "delete", "backends.parrot.seeds")
    assert (done.code, done.err) == (0, "backends.parrot.seeds was not in the keyring.\n")


def test_without_a_keyring_the_variable_is_told(phichat: Run) -> None:
    keyring.set_keyring(null.Keyring())  # type: ignore[no-untyped-call]
    done = phichat("secret", "set", "hf_token", stdin="abc-123")
    assert done.code == 2
    assert "no keyring" in done.err
    assert "PHICHAT_HF_TOKEN" in done.err


def test_a_configuration_that_holds_the_secret_does_not_stand_in_the_way(phichat: Run, folder: Path) -> None:
    (folder / "phichat.toml").write_text("hf_token = 'abc-123'\n", encoding="utf-8")
    assert "phichat secret set hf_token" in phichat("status").err
    assert phichat("secret", "set", "hf_token", stdin="abc-123").code == 0
