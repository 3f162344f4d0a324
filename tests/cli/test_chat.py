"""`phichat chat`: one answer for pipes, and a conversation for people."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from phichat.cli.answers import Sentences, show, usage
from phichat.events import Piece, Reply, parse
from phichat.workflow import Project
from phichat.workflow.serving import Serving
from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("project")


def test_a_prompt_is_answered_on_standard_output(phichat: Run) -> None:
    done = phichat("chat", "-p", "Hello there")
    assert (done.code, done.out) == (0, "Hello there\n")


def test_a_large_model_is_fetched_unasked_only_with_yes(
    phichat: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHICHAT_CACHE", str(tmp_path / "cache"))
    done = phichat("chat", "--backend", "local", "--model", "phi-4-mini", "-p", "Hello")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "phichat: phi-4-mini is not on this machine yet, and nobody can be asked here whether to fetch it "
        "(7.7 GB).\n  phichat models pull phi-4-mini, or say so with --yes\n"
    )
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("missing", "code"), [(93e6, 0), (7.6e9, 2), (None, 2)])
def test_the_size_decides_whether_a_model_is_fetched_unasked(
    phichat: Run, monkeypatch: pytest.MonkeyPatch, missing: float | None, code: int
) -> None:
    async def model_size(_: Serving) -> float | None:
        return missing

    monkeypatch.setattr(Serving, "model_size", model_size)
    assert phichat("chat", "-p", "Hello").code == code
    done = phichat("chat", "-p", "Hello", "--yes")
    assert (done.code, done.out) == (0, "Hello\n")
    assert "is not on this machine yet: fetching it" in done.err


def test_standard_input_is_the_question(phichat: Run) -> None:
    done = phichat("chat", stdin="Who founded Microsoft?\n")
    assert (done.code, done.out) == (0, "Who founded Microsoft?\n")


def test_standard_input_is_put_below_the_prompt(phichat: Run) -> None:
    done = phichat("chat", "-p", "Sum up:", stdin="a long text\n")
    assert done.out == "Sum up:\n\na long text\n"


def test_json_is_pieces_and_a_reply(phichat: Run) -> None:
    done = phichat("chat", "-p", "One two three", "--json")
    *pieces, reply = [parse(line) for line in done.out.splitlines()]
    # A parrot is quicker than the disk: pieces that come while one is being kept are joined.
    assert "".join(piece.text for piece in pieces if isinstance(piece, Piece)) == "One two three"
    assert isinstance(reply, Reply)
    assert (reply.text, reply.completion_tokens) == ("One two three", 3)


def test_the_system_prompt_comes_first(phichat: Run) -> None:
    assert phichat("chat", "-p", "Hi", "--system", "Be brief.").out == "system: Hi\n"


def test_another_chat_template_than_the_models_is_told(phichat: Run) -> None:
    assert "template" not in phichat("chat", "-p", "Hi").err
    done = phichat("chat", "-p", "Which template?")
    assert (done.code, done.out) == (0, "Which template?\n")
    assert "The chat template of polly is not the one that its model was trained with" in done.err


def test_no_question_is_wrong_usage(phichat: Run) -> None:
    for done in (phichat("chat", stdin=" \n"), phichat("chat", "-p", "")):
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("phichat: There is no question.\n")


def test_a_wrong_option_is_told_by_its_flag(phichat: Run) -> None:
    done = phichat("chat", "-p", "Hi", "--temperature", "warm")
    assert done.code == 2
    assert done.err.startswith("phichat: The flag --temperature must be a number, not 'warm'.\n")


def test_an_unknown_model_is_wrong_usage(phichat: Run) -> None:
    done = phichat("chat", "-p", "Hi", "--model", "smolm2")
    assert done.code == 2
    assert "smolm2" in done.err
    assert "smollm2" in done.err


def test_an_unknown_backend_is_wrong_usage(phichat: Run) -> None:
    done = phichat("chat", "-p", "Hi", "--backend", "parot")
    assert done.code == 2
    assert done.err == "phichat: There is no backend 'parot'.\n  Did you mean 'parrot'?\n"


def test_a_failure_of_the_backend_is_told_with_its_hint(phichat: Run) -> None:
    done = phichat("chat", "-p", "vanish")
    assert done.code == 1
    assert done.err.endswith("phichat: The parrot has flown away.\n  phichat status\n")


def test_a_bug_of_the_backend_is_told_as_its_own(phichat: Run) -> None:
    done = phichat("chat", "-p", "crash")
    assert done.code == 1
    assert "'parrot' failed: RuntimeError: a feather fell" in done.err
    assert "phichat-parrot 1.2" in done.err
    assert "Traceback" not in done.err


def test_what_costs_money_is_not_deployed_unasked(phichat: Run) -> None:
    done = phichat("chat", "-p", "Hi", "--set", "backends.parrot.usd_per_hour=1")
    assert done.code == 1
    assert "phichat deploy" in done.err


def test_input_that_is_not_text_is_wrong_usage(process: Run) -> None:
    done = process("chat", stdin=b"caf\xe9")
    assert (done.code, done.out) == (2, "")
    assert done.err == "phichat: Standard input is not UTF-8 text.\n"


def test_the_answer_is_utf8_whatever_the_locale(process: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.setenv("LC_ALL", "C")
    done = process("chat", "-p", "grüße 🦜", "--json")
    assert json.loads(done.out.splitlines()[-1])["text"] == "grüße 🦜"


def test_a_conversation_is_kept_and_gone_on_with(phichat: Run) -> None:
    phichat("chat", "-p", "One")
    phichat("chat", "-p", "Two", "--continue")
    phichat("chat", "-p", "Three")

    async def kept() -> list[list[str]]:
        async with Project.open() as project:
            ids = [conversation.id async for conversation in project.history.conversations()]
            return [[m.content for m in (await project.history.read(each)).branch()] for each in ids]

    assert asyncio.run(kept()) == [["One", "One", "Two", "user: assistant: Two"], ["Three", "Three"]]


def test_there_may_be_nothing_to_go_on_with(phichat: Run) -> None:
    done = phichat("chat", "-p", "Two", "--continue")
    assert (done.code, done.out) == (1, "")
    assert "no conversation to go on with" in done.err


def test_a_plain_answer_says_who_speaks(phichat: Run) -> None:
    done = phichat("chat", "-p", "Hello there", "--plain")
    assert done.out == "You: Hello there\nModel: Hello there\n"


def test_sentences_are_given_on_whole_and_nothing_is_lost() -> None:
    sentences = Sentences()
    text = 'He said "No." Then: 3.5 of 4! A list\n- one\n- two'
    given = [sentences.take(letter) for letter in text]
    assert [part for part in given if part] == [
        'He said "No." ',
        "Then: ",
        "3.5 of 4! ",
        "A list\n",
        "- one\n",
    ]
    assert "".join(given) + sentences.rest == text


def test_what_was_said_before_is_attached_and_can_be_seen(phichat: Run) -> None:
    assert phichat("chat", "-p", "Where does the quokka live?").code == 0
    done = phichat("chat", "-p", "What does it eat?", "--attach", "quokka")
    assert done.code == 0
    assert "Attached: what was said in “Where does the quokka live?”." in done.err
    assert "User: Where does the quokka live?" in done.out, "the parrot repeats what it is shown"
    latest = phichat("history", "list", "--limit", "1").out.splitlines()[1].split()[0]
    shown = phichat("history", "shown", latest).out
    assert shown.startswith("user:\nFrom an earlier conversation, “Where does the quokka live?”")
    assert shown.endswith("\n\nWhat does it eat?\n\n")
    (message,) = map(json.loads, phichat("history", "shown", latest, "--json").out.splitlines())
    assert message["role"] == "user"
    done = phichat("chat", "-p", "What?", "--attach", "wombat")
    assert (done.code, done.out) == (1, "")
    assert "matches 'wombat'" in done.err


def test_who_counts_no_tokens_is_not_said_to_give_none() -> None:
    reply = Reply(
        text="Salt.",
        prompt_tokens=0,
        completion_tokens=0,
        finish_reason="unknown",
        ttft_s=1.5,
        tokens_per_s=0,
    )
    assert usage(reply) == "(first after 1.50 s)"
    assert usage(reply.model_copy(update={"completion_tokens": 2})).startswith(
        "(2 tokens, 0.0 tokens/s, first"
    )


async def test_a_command_that_comes_in_pieces_does_not_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer() -> AsyncGenerator[Piece | Reply, None]:
        for text in ("Hi\x1b", "]52;c;aGk=", "\x1b", "\\ \x9d", "0;title\x07\n"):
            yield Piece(text=text)

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for plain in (False, True):
        await show(answer(), as_json=False, plain=plain)
        assert capsys.readouterr().out.rstrip("\n") == "Hi␛]52;c;aGk=␛\\ �0;title␇"
