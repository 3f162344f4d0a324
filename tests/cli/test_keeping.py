"""`phichat history` with Cosmos DB: configured, checked, synced, moved, and used without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phichat.config import secret
from tests.cli.conftest import Run
from tests.history.cosmos import KEY, Server, cosmos_server

__all__ = ["cosmos_server"]


@pytest.fixture
def cosmos(project: Path, cosmos_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The project keeps its history in Cosmos DB, and the key is in the keyring."""
    cosmos_server.fail()
    place = cosmos_server.place()
    secret.store(secret.HISTORY_KEY, KEY)
    for name, value in {
        "STORE": "cosmos",
        "ENDPOINT": place.endpoint,
        "CONTAINER": place.container,
        "OWNER": "me",
    }.items():
        monkeypatch.setenv(f"PHICHAT_HISTORY__{name}", value)
    return cosmos_server


def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, commands run on another machine of the same person."""
    monkeypatch.setenv("PHICHAT_HOME", str(tmp_path / "other"))


def test_what_is_said_here_is_found_on_another_machine(
    phichat: Run, cosmos: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert phichat("chat", "-p", "Where does the quokka live?").code == 0
    done = phichat("history", "sync")
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("In sync with Azure Cosmos DB 127.0.0.1:")
    other_machine(tmp_path, monkeypatch)
    assert "Where does the quokka live?" in phichat("history", "list").out
    assert "quokka" in phichat("history", "search", "quokka").out
    state = json.loads(phichat("history", "sync", "--json").out)
    assert (state["kind"], state["state"], state["pending"]) == ("sync", "synced", 0)


def test_without_a_network_the_chat_goes_on(phichat: Run, cosmos: Server) -> None:
    assert phichat("history", "sync").code == 0
    cosmos.fail(down=True)
    assert phichat("chat", "-p", "Is anybody there?").code == 0
    done = phichat("history", "list")
    assert "Is anybody there?" in done.out
    assert "cannot be reached. This is the copy on this machine" in done.err
    done = phichat("history", "sync")
    assert done.code == 1
    assert "1 conversation of this machine waits to be sent" in done.err
    assert "cannot be reached" in done.err
    cosmos.fail()
    assert phichat("history", "sync").code == 0


def test_conversations_are_moved_both_ways(
    phichat: Run, cosmos: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_HISTORY__STORE", "sqlite")
    assert phichat("chat", "-p", "Where does the quokka live?").code == 0
    before = phichat("history", "export").out
    done = phichat("history", "move", "--to", "cosmos")
    assert done.code == 0
    assert "Moved to cosmos: 1 conversation added. They are still where they were, too." in done.err
    assert 'set store = "cosmos" under [history]' in done.err
    monkeypatch.setenv("PHICHAT_HISTORY__STORE", "cosmos")
    assert phichat("history", "export").out == before
    other_machine(tmp_path, monkeypatch)
    done = phichat("history", "move", "--to", "sqlite", "--remove", "--yes")
    assert (done.code, "too." in done.err) == (0, False)
    assert phichat("history", "export").out == ""
    monkeypatch.setenv("PHICHAT_HISTORY__STORE", "sqlite")
    assert phichat("history", "export").out == before
    assert "nothing to sync" in phichat("history", "sync").err


def test_nothing_is_removed_without_a_yes(phichat: Run, cosmos: Server) -> None:
    done = phichat("history", "move", "--to", "sqlite", "--remove")
    assert done.code == 2
    assert "--yes" in done.err


def test_check_tells_what_is_missing(phichat: Run, cosmos: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):  # a check makes nothing: it might cost
        done = phichat("check")
        assert done.code == 0
        assert "ok  history  Azure Cosmos DB 127.0.0.1:" in done.out and ": made on first use" in done.out
    assert phichat("history", "sync").code == 0
    assert "made on first use" not in phichat("check").out
    cosmos.fail(down=True)
    done = phichat("check")
    assert done.code == 1
    assert "FAIL  history  Azure Cosmos DB" in done.out and "cannot be reached" in done.out
    for name, told in (("OWNER", "history.owner is missing"), ("ENDPOINT", "history.endpoint is missing")):
        monkeypatch.delenv(f"PHICHAT_HISTORY__{name}")
        done = phichat("check")
        assert done.code == 1
        assert f"FAIL  history  {told}" in done.out
        assert "under [history]" in done.out
        assert phichat("history", "list").code == 2


def test_a_key_in_a_file_is_refused(phichat: Run, project: Path) -> None:
    file = project / "phichat.toml"
    whole = file.read_text(encoding="utf-8")
    for line in (f'key = "{KEY}"', f'account_key = "{KEY}"', f'endpoint = "AccountKey={"a" * 86}=="'):
        file.write_text(f"{whole}\n[history]\n{line}\n", encoding="utf-8")
        done = phichat("check")
        assert done.code == 1
        assert "is a secret, and a file is no place for one" in done.out
        assert KEY not in done.out + done.err
    file.write_text(f'{whole}\n[history]\nkey = "{KEY}"\n', encoding="utf-8")
    assert "phichat secret set history.key" in phichat("history").err


@pytest.mark.parametrize("endpoint", ["http://me.documents.azure.com", "me.documents.azure.com", "https://"])
def test_only_an_encrypted_address_is_taken(phichat: Run, project: Path, endpoint: str) -> None:
    done = phichat("history", "--set", f"history.endpoint={endpoint}")
    assert done.code == 2
    assert "https://" in done.err


def test_the_key_is_never_shown(phichat: Run, cosmos: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_HISTORY__KEY", "a2V5IG9mIG1pbmU=")
    done = phichat("check")
    assert done.code == 0
    assert "a2V5IG9mIG1pbmU=" not in done.out + done.err
