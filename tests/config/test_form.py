"""One declaration is a row of the form: its value and origin, and what is wrong as one types."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr

from phichat.backends.base import Settings
from phichat.config import Config, load
from phichat.config.form import Row, backend_rows, fault_of, project_rows, try_out, value_of
from phichat.config.schema import PERSONAL, keys_of
from phichat.errors import ConfigError
from phichat.paths import user_folders

FILE = """\
[chat]
temperature = 0.2
[train]
lora_targets = ["q_proj", "k_proj"]
[backends.cloudy]
region = "west"
"""


class Cloudy(Settings):
    """A backend's settings."""

    account: str = Field(description="Who pays.")
    region: Literal["west", "north"] = Field(default="north", description="Where.")
    nodes: int | None = Field(default=None, ge=1, description="How many machines.")
    api_key: SecretStr | None = Field(default=None, description="Opens the door.")


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, Row]:
    (tmp_path / "phichat.toml").write_text(FILE, encoding="utf-8")
    loaded = load({"data.seed": 4}, {"PHICHAT_CHAT__TOP_P": "0.5"}, tmp_path, user_folders())
    return {row.dotted: row for row in (*project_rows(loaded), *backend_rows(loaded, "cloudy", Cloudy))}


def test_every_setting_of_the_project_has_a_row_that_explains_it(rows: dict[str, Row]) -> None:
    known = {".".join(key) for key, _ in keys_of(Config) if key[0] not in (*PERSONAL, "backends")}
    assert known <= set(rows)
    assert all(row.description for row in rows.values())


def test_a_row_says_what_holds_and_where_it_comes_from(rows: dict[str, Row]) -> None:
    written = rows["chat.temperature"]
    assert (written.written, written.holds, written.origin.source) == ("0.2", "0", "project")
    assert written.flag == "--temperature"
    assert written.variable == "PHICHAT_CHAT__TEMPERATURE"
    silent = rows["chat.max_new_tokens"]
    assert (silent.written, silent.holds, silent.origin.source) == ("", "512", "default")
    overruled = rows["chat.top_p"]
    assert (overruled.holds, overruled.origin.source, overruled.overruled) == ("0.5", "environment", True)
    assert (rows["data.seed"].holds, rows["data.seed"].overruled) == ("4", True)
    assert rows["train.lora_targets"].written == "q_proj, k_proj"
    assert rows["backends.cloudy.region"].written == "west"
    assert rows["backends.cloudy.region"].choices == ("west", "north")
    assert rows["backends.cloudy.nodes"].kind == "whole"
    assert rows["backends.cloudy.api_key"].kind == "secret"
    assert rows["train.packing"].choices == ("true", "false")


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("chat.temperature", "0", ""),
        ("chat.temperature", "", ""),
        ("chat.temperature", "3", "It must be at most 2, not 3."),
        ("chat.temperature", "warm", "It must be a number, not 'warm'."),
        ("chat.max_new_tokens", "1.5", "It must be a whole number, not '1.5'."),
        ("train.method", "lroa", "Did you mean lora?"),
        ("train.packing", "true", ""),
        ("base_model", "smolm2", "Did you mean smollm2?"),
        ("base_model", "microsoft/phi-4", ""),
        ("chat.system", "your_prompt_here", "still the placeholder"),
        ("deploy.endpoint", "hf_" + "a" * 30, "is a secret"),
    ],
)
def test_a_text_is_judged_as_one_types(rows: dict[str, Row], name: str, text: str, fault: str) -> None:
    told = fault_of(rows[name], text, Config)
    assert fault in told
    assert bool(told) is bool(fault)


def test_a_backends_own_settings_are_judged_too(rows: dict[str, Row]) -> None:
    assert fault_of(rows["backends.cloudy.nodes"], "0", Cloudy) == "It must be at least 1, not 0."
    assert fault_of(rows["backends.cloudy.nodes"], "2", Cloudy) == ""


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("chat.temperature", "0", 0),
        ("chat.temperature", "0.5", 0.5),
        ("train.lora_targets", "q_proj, k_proj", ["q_proj", "k_proj"]),
        ("train.packing", "false", False),
        ("chat.system", "42", "42"),
    ],
)
def test_a_text_means_a_value_of_the_files_own_kind(
    rows: dict[str, Row], name: str, text: str, value: object
) -> None:
    found = value_of(rows[name], text)
    assert (found, type(found)) == (value, type(value))


def test_changes_are_tried_out_as_a_whole_before_they_are_written(tmp_path: Path) -> None:
    loaded = load({}, {}, tmp_path, user_folders())
    account = ("backends", "cloudy", "account")
    try_out(loaded, {account: "me", ("chat", "temperature"): 0}, "cloudy", Cloudy)
    with pytest.raises(ConfigError, match="account is missing"):
        try_out(loaded, {account: None}, "cloudy", Cloudy)
    with pytest.raises(ConfigError, match="must be at most 2"):
        try_out(loaded, {account: "me", ("chat", "temperature"): 9}, "cloudy", Cloudy)
