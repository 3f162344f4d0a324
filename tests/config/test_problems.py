"""What is wrong is told in plain words, with the key, its place, and what to do."""

from __future__ import annotations

import pytest

from phichat.backends.base import ChatOptions
from phichat.config.schema import ChatConfig
from phichat.config.suspect import is_placeholder, looks_like_key, names_secret, without_keys
from tests.config.conftest import Place, Refused


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        ("[data]\ntset_size = 1", "data.tset_size", "test_size under [data]"),
        ("[trian]\nepochs = 1", "trian.epochs", "epochs under [train]"),
        ("temprature = 1", "temprature", "temperature under [chat]"),
        ("seed = 1", "seed", "seed under [data] or seed under [train] or seed under [chat]"),
        ("bakcend = 'local'", "bakcend", "backend"),
        ("[backend.local]\ndevice = 'cpu'", "backend.local.device", "device under [backends.local]"),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_was_meant(
    refused: Refused, place: Place, text: str, key: str, meant: str
) -> None:
    error = refused(text)
    line = text.count("\n") + 1
    assert error.message == f"{key} ({place.file}:{line}) is not a key that phichat knows."
    assert error.hint == f"Did you mean {meant}?"


def test_a_key_like_no_other_is_told_with_those_of_its_table(refused: Refused) -> None:
    known = ", ".join(f"{name} under [deploy]" for name in ("endpoint", "size", "ttl_hours", "gradual"))
    assert refused("[deploy]\nqqq = 1").hint == f"Known here: {known}."
    assert "backend, base_model, data.source" not in refused("zzz = 1").hint
    assert "backend, base_model" in refused("zzz = 1").hint


def test_suggestions_are_spelled_for_where_the_mistake_is(refused: Refused) -> None:
    error = refused(environ={"PHICHAT_DATA__SEDE": "1"})
    assert error.message == "The environment variable PHICHAT_DATA__SEDE is not a key that phichat knows."
    assert error.hint == "Did you mean PHICHAT_DATA__SEED?"
    error = refused(flags={"data.sede": 1})
    assert error.message == "The flag --set data.sede is not a key that phichat knows."
    assert error.hint == "Did you mean --set data.seed=…?"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("data.seed", '"abc"', "must be a whole number, not 'abc'."),
        ("data.seed", "1.5", "must be a whole number, not 1.5."),
        ("data.seed", "-1", "must be at least 0, not -1."),
        ("data.test_size", "1", "must be less than 1, not 1."),
        ("data.test_size", '"half"', "must be a number, not 'half'."),
        ("chat.temperature", "3", "must be at most 2, not 3."),
        ("chat.top_p", "0", "must be greater than 0, not 0."),
        ("chat.system", "5", "must be text, not 5."),
        ("history.store", '"redis"', "must be 'sqlite' or 'cosmos', not 'redis'."),
        ("base_model", '""', "must not be empty."),
        ("data", "3", "is a table, not a value."),
        ("backends", "3", "must be a table, not 3."),
        ("backends.local", "3", "must be a table, not 3."),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(
    refused: Refused, place: Place, key: str, value: str, told: str
) -> None:
    error = refused(f"{key} = {value}")
    assert error.message == f"{key} ({place.file}:1) {told}"


def test_a_wrong_value_is_told_with_what_the_key_means(refused: Refused) -> None:
    error = refused(flags={"chat.temperature": "3"})
    assert error.message == "The flag --temperature must be at most 2, not '3'."
    assert error.hint == "temperature: randomness; at 0 a question always has the same answer."


def test_all_problems_are_told_at_once(refused: Refused) -> None:
    error = refused("seeed = 1\n[data]\nseed = 'x'\ntest_size = 5", environ={"PHICHAT_CHAT__TOP_P": "9"})
    head, *lines = error.message.splitlines()
    assert head == "The configuration has 4 problems:"
    for key in ("seeed (", "data.seed (", "data.test_size (", "The environment variable PHICHAT_CHAT__TOP_P"):
        assert sum(line.startswith(f"  {key}") for line in lines) == 1


def test_a_mistake_is_told_although_something_else_wins(refused: Refused) -> None:
    assert "seeed" in refused("[data]\nseeed = 1", flags={"data.seed": 1}).message


@pytest.mark.parametrize("text", ["theme = 'dark'", "[keys]\nsend = 'enter'"])
def test_what_is_personal_is_refused_in_a_project(place: Place, refused: Refused, text: str) -> None:
    place.load(user=text)
    error = refused(project=text)
    assert "belongs to the person" in error.message
    assert "your own file" in error.hint


@pytest.mark.parametrize(
    "value",
    [
        "your_fine_tuned_model_endpoint_uri",
        "your-job-name",
        "<your-key>",
        "<resource group>",
        "https://your-endpoint.example",
        "changeme",
        "change_me",
        "xxxxxxxx",
        "XXX",
        "...",
        "{{ workspace }}",
        "${WORKSPACE}",
        "insert_name_here",
        "00000000-0000-0000-0000-000000000000",
    ],
)
def test_placeholders_are_refused(refused: Refused, value: str) -> None:
    assert is_placeholder(value)
    error = refused(f"[backends.azureml]\nworkspace = {value!r}")
    assert f"is still the placeholder {value!r}" in error.message
    assert "placeholder" in refused(environ={"PHICHAT_BASE_MODEL": value}).message


@pytest.mark.parametrize(
    "value",
    ["yourself", "smollm2", "microsoft/Phi-4-mini-instruct", "You are your-own man.", "x", "xx", 3, "a<b>c"],
)
def test_real_values_are_no_placeholders(value: object) -> None:
    assert not is_placeholder(value)


# Made up here from parts, so that nobody's scanner takes the test for a leak.
TOKENS = [
    "hf_" + "aB3" * 10,
    "sk-" + "a1B2" * 8,
    "ghp_" + "aB3" * 12,
    "AccountKey=" + "aB3+" * 8,
    "aB3/" * 21 + "aB==",
]


@pytest.mark.parametrize("token", TOKENS)
def test_what_looks_like_a_key_is_refused_in_a_file_and_masked_in_texts(refused: Refused, token: str) -> None:
    assert looks_like_key(token)
    error = refused(f"[backends.azureml]\nworkspace = {token!r}")
    assert "is a secret, and a file is no place for one" in error.message
    assert token not in error.message + error.hint
    assert without_keys(f"at {token}.", "[secret]") in ("at [secret].", "at [secret]")


@pytest.mark.parametrize("value", ["./task-descriptions-of-2024", "org/risk-assessment-model-v2", "a" * 40])
def test_a_name_is_not_taken_for_a_key(value: str) -> None:
    assert not looks_like_key(value)


def test_a_secret_in_a_file_is_refused_with_the_command_that_keeps_it(refused: Refused) -> None:
    for text, name in [
        ("hf_token = 'abc'", "hf_token"),
        ("[backends.azureml]\napi_key = 'abc'", "backends.azureml.api_key"),
        ("[history]\nconnection_string = 'abc'", "history.connection_string"),
    ]:
        error = refused(text)
        assert error.message.startswith(f"{name} (")
        assert f"phichat secret set {name}" in error.hint
        assert "abc" not in error.message + error.hint
    error = refused(flags={"backends.azureml.api_key": "abc"})
    assert "a command line is no place" in error.message


def test_an_unknown_variable_does_not_show_its_value(refused: Refused) -> None:
    error = refused(environ={"PHICHAT_API_KEY": "sesame42"})
    assert error.message == "The environment variable PHICHAT_API_KEY is not a key that phichat knows."
    assert "sesame42" not in error.hint


def test_the_names_that_secrets_have() -> None:
    for name in ("api_key", "apikey", "api-key", "key", "token", "hf_token", "client_secret", "password"):
        assert names_secret(name)
    for name in ("max_new_tokens", "keys", "monkey", "endpoint", "tokens", "key_vault", "keyring"):
        assert not names_secret(name)


def test_chat_has_the_limits_of_the_interface() -> None:
    for name, ours in ChatConfig.model_fields.items():
        if name not in ("system", "overflow"):
            theirs = ChatOptions.model_fields[name]
            assert (ours.annotation, ours.default, ours.metadata) == (
                theirs.annotation,
                theirs.default,
                theirs.metadata,
            )
