"""The command line itself: help that comes at once, and mistypings that are answered with what was meant."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator

import pytest

import phichat as package
from phichat.cli.options import config_flags
from phichat.cli.parser import VERBS, Parser, parse, verb
from phichat.errors import ConfigError
from tests.cli.conftest import Run
from tests.conftest import ROOT


def test_the_help_names_every_verb(phichat: Run) -> None:
    done = phichat("--help")
    assert done.code == 0
    assert all(f"\n    {verb} " in done.out for verb in VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_help(phichat: Run, name: str) -> None:
    done = phichat(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"usage: phichat {name} [options]" in done.out
    assert "\noptions of every command:\n  --backend NAME " in done.out


def test_a_command_below_a_verb_has_help(phichat: Run) -> None:
    assert (
        "\nWrite conversations to a file, or to standard output.\n"
        in phichat("history", "export", "--help").out
    )


def below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A command and all commands below it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from below(each)


@pytest.mark.parametrize("name", VERBS)
def test_help_fits_80_columns_and_explains_everything(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    top = Parser(prog=f"phichat {name}")
    verb(name).arguments(top)
    for parser in below(top):
        usage, gap, *lines = parser.format_help().splitlines()
        assert usage.startswith(f"usage: {parser.prog} ") and gap == "", "it is one line"
        assert max(map(len, [usage, *lines])) <= 80
        for action in parser._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), (parser.prog, action.dest)


def test_what_may_be_left_out_is_in_brackets(phichat: Run) -> None:
    for line, usage in (
        ((), "phichat [options] [COMMAND ...]"),
        (("models",), "phichat models [options] [ACTION ...]"),
        (("secret",), "phichat secret [options] ACTION ..."),
        (("fetch",), "phichat fetch [options] [RUN] [DIR]"),
        (("history", "move"), "phichat history move --to sqlite|cosmos [options]"),
    ):
        assert phichat(*line, "--help").out.startswith(f"usage: {usage}\n")


def test_no_word_and_no_command_is_broken_in_two(phichat: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "user-assistant" in phichat("data", "--help").out
    assert phichat("down", "--help").out.endswith("\nphichat down --expired --yes\n")
    assert phichat("--help").out.endswith("\nMore of one command: phichat COMMAND --help\n")


def test_a_number_says_what_it_is_where_nobody_gives_it(phichat: Run) -> None:
    assert (
        "--max-new-tokens N      longest answer, in tokens; default: 512\n" in phichat("chat", "--help").out
    )


def test_the_version(phichat: Run) -> None:
    assert phichat("--version").out == f"phichat {package.__version__}\n"


@pytest.mark.parametrize(
    ("line", "told", "hint"),
    [
        ("chta", "'phichat' has no command 'chta'.", "Did you mean 'chat'?"),
        ("secret se", "'phichat secret' has no command 'se'.", "Did you mean 'set'?"),
        ("models qqq", "'phichat models' has no command 'qqq'.", "Choose from list, pull, remove."),
        ("chat --tempreature 1", "'phichat chat' has no flag --tempreature.", "Did you mean --temperature?"),
        ("chat --temp=1", "'phichat chat' has no flag --temp.", ""),
        ("chat hello", "'phichat chat' does not take 'hello'.", 'phichat chat -p "…"'),
        ("status now", "'phichat status' does not take 'now'.", "phichat status --help"),
        ("models pull", "'phichat models pull' needs MODEL.", "phichat models pull --help"),
        ("chat -p", "-p or --prompt needs a value.", "phichat chat --help"),
        ("env --shell bsh", "--shell cannot be 'bsh'.", "Choose from posix, powershell."),
        ("--bakcend x", "'phichat' has no flag --bakcend.", "Did you mean --backend?"),
        ("status --set seed", "--set seed is not KEY=VALUE.", "For example: --set data.seed=1"),
        ("status --set data.sed=1", "The flag --set data.sed is not", "Did you mean --set data.seed=…?"),
        ("status --set chat.temperature=hot", "The flag --set chat.temperature must be a number", ""),
        ("help", "'phichat' has no command 'help'.", "Did you mean 'phichat --help'?"),
        ("version", "'phichat' has no command 'version'.", "Did you mean 'phichat --version'?"),
        ("status -C nowhere", "nowhere is not a folder.", "phichat init nowhere"),
    ],
)
def test_what_was_mistyped_is_told_with_what_was_meant(phichat: Run, line: str, told: str, hint: str) -> None:
    done = phichat(*line.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("phichat: ")
    assert told in done.err
    assert hint in done.err
    assert "Traceback" not in done.err


def test_common_flags_hold_above_and_below_the_verb() -> None:
    args = parse(
        ["--backend", "a", "--set", "data.seed=1", "--set", "chat.seed=1", "chat", "--set", "data.seed=2"]
    )
    assert config_flags(args) == {"backend": "a", "data.seed": "2", "chat.seed": "1"}
    assert config_flags(parse(["--backend", "a", "chat", "--backend", "b"])) == {"backend": "b"}
    args = parse(["models", "--set", "a=1", "pull", "smollm2", "--set", "b=2"])
    assert config_flags(args) == {"a": "1", "b": "2"}


def test_a_value_may_hold_equals_signs() -> None:
    assert config_flags(parse(["status", "--set", "chat.system=1=1"])) == {"chat.system": "1=1"}
    with pytest.raises(ConfigError):
        config_flags(parse(["status", "--set", "=1"]))


HEAVY = {
    "torch",
    "transformers",
    "textual",
    "rich",
    "httpx",
    "azure",
    "promptflow",
    "datasets",
    "keyring",
    "pluggy",
}


def loaded_by(*argv: str) -> set[str]:
    code = f"from phichat.cli import main; main({list(argv)!r}); import sys; print('\\0', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.partition("\0")[2].split())


@pytest.mark.parametrize("name", ["", *VERBS])
def test_help_loads_nothing_that_it_does_not_need(name: str) -> None:
    loaded = loaded_by(*[name, "--help"] if name else ["--help"])
    assert not loaded & HEAVY
    # Only the flags of these are described by the configuration itself.
    assert ("pydantic" in loaded) == (name in ("chat", "data", "deploy", "flow", "train"))


@pytest.mark.parametrize("line", ["models", "backends", "status", "check"])
def test_a_headless_command_never_loads_the_application(line: str) -> None:
    assert not loaded_by(line) & {"textual", "rich", "torch", "transformers"}
