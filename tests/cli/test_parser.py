"""The command line itself: help that comes at once, and mistypings that are answered with what was meant."""

from __future__ import annotations

import subprocess
import sys

import pytest

import phichat as package
from phichat.cli.options import config_flags
from phichat.cli.parser import VERBS, parse
from phichat.errors import ConfigError
from tests.cli.conftest import Run
from tests.conftest import ROOT


def test_the_help_names_every_verb(phichat: Run) -> None:
    done = phichat("--help")
    assert done.code == 0
    assert all(f"\n    {verb} " in done.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(phichat: Run, verb: str) -> None:
    done = phichat(verb, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"usage: phichat {verb} " in done.out
    assert "--backend" in done.out


def test_a_command_below_a_verb_has_help(phichat: Run) -> None:
    assert (
        "\nWrite conversations to a file, or to standard output.\n"
        in phichat("history", "export", "--help").out
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


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_loads_nothing_that_it_does_not_need(verb: str) -> None:
    loaded = loaded_by(*[verb, "--help"] if verb else ["--help"])
    assert not loaded & HEAVY
    # Only the flags of `chat`, `data`, `flow` and `train` are described by the configuration itself.
    assert ("pydantic" in loaded) == (verb in ("chat", "data", "flow", "train"))


@pytest.mark.parametrize("line", ["models", "backends", "status", "check"])
def test_a_headless_command_never_loads_the_application(line: str) -> None:
    assert not loaded_by(line) & {"textual", "rich", "torch", "transformers"}
