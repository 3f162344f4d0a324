"""`phichat history`: what was said is listed, found, exported, imported and deleted."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from phichat.paths import user_folders
from tests.cli.conftest import Run

ID = r"[0-9a-f]{8}-[0-9a-f]{4}"


@pytest.fixture
def said(project: Path, phichat: Run) -> list[str]:
    """Two conversations were held in this project; their ids as people see them, the latest first."""
    for question in ("Where does the quokka live?", "Who built the lighthouse?"):
        assert phichat("chat", "-p", question).code == 0
    return re.findall(ID, phichat("history").out)


def test_the_latest_conversations_are_listed(phichat: Run, said: list[str], tmp_path: Path) -> None:
    done = phichat("history", "list")
    head, *rows = done.out.splitlines()
    assert head.split() == ["ID", "LATEST", "PROJECT", "TITLE"]
    assert [row.rpartition("  ")[2] for row in rows] == [
        "Who built the lighthouse?",
        "Where does the quokka live?",
    ]
    assert len(phichat("history", "list", "--limit", "1").out.splitlines()) == 2
    facts = [json.loads(line) for line in phichat("history", "list", "--json").out.splitlines()]
    assert [each["title"] for each in facts] == [row.rpartition("  ")[2] for row in rows]


def test_a_project_has_its_own_and_all_are_listed_when_asked(
    phichat: Run, said: list[str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    assert phichat("init", str(other)).code == 0
    done = phichat("history", "list", "-C", str(other))
    assert (done.out, done.err) == ("", "There are no conversations yet: phichat chat\n")
    assert phichat("history", "search", "quokka", "-C", str(other)).out == ""
    assert re.findall(ID, phichat("history", "list", "-C", str(other), "--all").out) == said
    assert re.findall(ID, phichat("history", "-C", str(tmp_path)).out) == said


def test_words_are_found(phichat: Run, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done = phichat("history", "search", "QUOKKA", "liv*")
    assert done.code == 0
    assert done.out.splitlines() == [f"{said[1]}  Where does the quokka live?"] * 3  # title, question, answer
    hits = [json.loads(line) for line in phichat("history", "search", "quokka", "--json").out.splitlines()]
    assert [hit["marks"] for hit in hits] == [[[15, 21]]] * 3
    assert [hit["message"] is None for hit in hits] == [True, False, False]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "the \x1b[1mquokka\x1b[0m live" in phichat("history", "search", "quokka").out


def test_nothing_found_is_told(phichat: Run, said: list[str]) -> None:
    done = phichat("history", "search", "wombat", "--all")
    assert (done.code, done.out, done.err) == (0, "", "Nothing matches.\n")


def test_an_export_is_imported_as_it_was(phichat: Run, said: list[str], folder: Path) -> None:
    assert phichat("history", "export", "-o", "all.jsonl").err == "2 conversations in all.jsonl.\n"
    assert phichat("history", "delete", *said, "--purge", "--yes").code == 0
    assert phichat("history", "list").out == ""
    done = phichat("history", "import", "all.jsonl", "--json")
    assert json.loads(done.out) == {
        "kind": "imported",
        "file": "all.jsonl",
        "added": 2,
        "changed": 0,
        "known": 0,
    }
    assert phichat("history", "export").out == (folder / "all.jsonl").read_text(encoding="utf-8")
    told = phichat("history", "import", "all.jsonl").err
    assert told == "all.jsonl: 0 conversations added, 2 known already.\n"


def test_each_format_can_be_exported(phichat: Run, said: list[str], folder: Path) -> None:
    (openai,) = phichat("history", "export", said[0], "--format", "openai").out.splitlines()
    roles = [message["role"] for message in json.loads(openai)["messages"]]
    assert roles == ["user", "assistant"]
    assert phichat("history", "export", said[0], "-o", "one.md").code == 0
    assert "# Who built the lighthouse?" in (folder / "one.md").read_text(encoding="utf-8")


def test_a_deleted_conversation_can_be_brought_back(phichat: Run, said: list[str]) -> None:
    done = phichat("history", "delete", said[0], "--yes")
    assert done.code == 0
    assert (
        f"Deleted: “Who built the lighthouse?”. For 30 days: phichat history delete --undo {said[0]}"
        in done.err
    )
    assert re.findall(ID, phichat("history", "list").out) == said[1:]
    assert re.findall(ID, phichat("history", "list", "--deleted").out) == said[:1]
    assert phichat("history", "delete", "--undo", said[0]).code == 0
    assert re.findall(ID, phichat("history", "list").out) == said


def test_deleting_asks_first(phichat: Run, said: list[str]) -> None:
    assert phichat("history", "delete", said[0], typed="n\n").code == 1
    assert phichat("history", "delete", said[0]).code == 2
    assert re.findall(ID, phichat("history", "list").out) == said
    assert phichat("history", "delete", said[0], typed="y\n").code == 0
    assert re.findall(ID, phichat("history", "list").out) == said[1:]


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (("import", "empty.jsonl"), 1, "empty.jsonl holds no conversation."),
        (("import", "none.json"), 1, "none.json holds no conversation."),
        (("export", "nothing"), 1, "There is no conversation 'nothing'."),
        (("delete", "nothing", "--yes"), 1, "There is no conversation 'nothing'."),
        (("delete", "x", "--undo", "--purge"), 2, "not allowed with argument --undo"),
        (("import", "missing.jsonl"), 1, "missing.jsonl cannot be read"),
        (("list", "--limit", "0"), 2, "'0' is not a number from 1 on"),
        (("serach", "x"), 2, "'phichat history' has no command 'serach'"),
        (("search",), 2, "needs WORD"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    phichat: Run, said: list[str], folder: Path, argv: tuple[str, ...], code: int, told: str
) -> None:
    (folder / "empty.jsonl").write_bytes(b"\n")
    (folder / "none.json").write_bytes(b"[]")
    done = phichat("history", *argv)
    assert (done.code, done.out) == (code, "")
    assert told in done.err and "Traceback" not in done.err


def test_a_title_cannot_command_the_terminal(phichat: Run, project: Path, folder: Path) -> None:
    record = {"title": "\x1b]0;x\x07\n", "messages": [{"role": "user", "content": "\x1b[2Jboo"}]}
    (folder / "evil.jsonl").write_text(json.dumps(record))
    assert phichat("history", "import", "evil.jsonl").code == 0
    for done in (phichat("history", "list"), phichat("history", "search", "boo")):
        assert "\x1b" not in done.out and "\x07" not in done.out


def test_a_damaged_store_is_told_and_recovered(phichat: Run, said: list[str]) -> None:
    path = user_folders().data / "history.db"
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996
    path.write_bytes(content)
    done = phichat("history", "list")
    assert (done.code, done.out) == (1, "")
    assert "are damaged" in done.err and "phichat history recover" in done.err
    assert phichat("history", "recover").code == 0
    assert phichat("history", "list").code == 0
    assert len(list(path.parent.glob("history.damaged-*.db"))) == 1
