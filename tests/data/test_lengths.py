"""Rows in tokens: counted exactly, in batches, and only where they have to be."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from phichat.data.conversation import Conversation, Turn
from phichat.data.options import ModelFiles
from phichat.data.template import load_template
from phichat.data.tokens import BATCH, TokenCounter, histogram
from tests.data.conftest import Work, chat, tower

WORDS = ["alpha", "beta", "gamma", "delta"]


@pytest.fixture
def model(tmp_path: Path) -> ModelFiles:
    """A model folder whose tokenizer knows four words, the digits and its special tokens."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(["[unk]", *WORDS])}, unk_token="[unk]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=20)
    tokenizer.save(str(folder / "tokenizer.json"))
    template = "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    return ModelFiles(name="words", folder=folder, context=2000)


def rows(*lengths: int) -> list[dict[str, object]]:
    """Rows of so many words, two of them the question."""
    return [
        chat(f"alpha {number}", " ".join(["beta"] * (length - 2))) for number, length in enumerate(lengths)
    ]


def test_every_row_is_counted_whatever_the_tokenizers_file_says(prepared: Work, model: ModelFiles) -> None:
    tokens = prepared(rows(10, 20, 30, 100), model=model).manifest.tokens
    assert tokens is not None
    # Each turn ends with one special token.
    assert (tokens.total, tokens.median, tokens.longest) == (168, 22, 102)
    assert sum(tokens.bars) == 4


def test_only_rows_that_are_left_are_in_the_count(prepared: Work, model: ModelFiles) -> None:
    every = [*rows(10, 20), *rows(10, 20), *rows(10, 20)]
    manifest = prepared(every, model=model, duplicates="remove", max_length=15).manifest
    assert manifest.tokens is not None
    assert (manifest.tokens.total, sum(manifest.tokens.bars)) == (34, 2)
    assert manifest.counts.truncated == 1


def test_the_order_survives_the_batches(model: ModelFiles) -> None:
    assert model.folder is not None
    template = load_template(model.folder)
    assert template is not None
    lengths = [number % 50 + 1 for number in range(3 * BATCH + 7)]
    found = TokenCounter(model.folder, template).count(
        Conversation([Turn("user", " ".join(["gamma"] * length))]) for length in lengths
    )
    assert list(found) == [length + 1 for length in lengths]


def test_a_row_longer_than_the_context_is_bad(prepared: Work, model: ModelFiles) -> None:
    done = prepared(rows(10, 2500, 20), model=model)
    assert done.told == [
        "rows1.jsonl, line 2: the row is 2,502 tokens long, but the model sees 2,000 at once."
    ]
    assert done.manifest.counts.bad == 1
    assert done.rows("bad")[0]["row"]["messages"][0]["content"] == "alpha 1"
    assert len(done.good) == 2


def test_without_counting_a_row_longer_than_the_context_is_still_bad(
    prepared: Work, model: ModelFiles
) -> None:
    done = prepared(rows(10, 2500, 20), model=model, tokens=False)
    assert [each.kind for each in done.problems] == ["too_long"]
    assert done.manifest.tokens is None


def test_problems_are_in_the_order_of_the_source(prepared: Work, model: ModelFiles) -> None:
    done = prepared([*rows(10, 2500), chat("a", ""), *rows(20), chat("b")], model=model)
    assert [(each.line, each.kind) for each in done.problems] == [
        (2, "too_long"),
        (3, "empty"),
        (5, "no_answer"),
    ]


def test_what_training_cuts_is_counted(prepared: Work, model: ModelFiles) -> None:
    manifest = prepared(rows(10, 20, 30, 100), model=model, max_length=30).manifest
    assert (manifest.counts.truncated, manifest.max_length, manifest.chosen_length) == (2, 30, 30)
    manifest = prepared(rows(10), model=model).manifest
    assert (manifest.max_length, manifest.chosen_length) == (2000, None)
    keeps = model.model_copy(update={"keeps": 25})
    manifest = prepared(rows(10, 20, 30, 100), model=keeps).manifest
    assert (manifest.counts.truncated, manifest.max_length, manifest.chosen_length) == (2, 25, None)


def test_special_tokens_of_the_tokenizer_are_found(prepared: Work, model: ModelFiles) -> None:
    done = prepared([*rows(10, 20), chat("alpha<|end|>", "beta")], model=model)
    assert [each.kind for each in done.problems] == ["special_token"]


def test_the_template_is_named_by_its_hash(prepared: Work, model: ModelFiles) -> None:
    assert len(prepared(rows(10), model=model).manifest.template) == 64


def test_a_model_without_a_template_is_said(prepared: Work, model: ModelFiles) -> None:
    assert model.folder is not None
    (model.folder / "tokenizer_config.json").unlink()
    assert prepared(rows(10), model=model).manifest.not_done == ("token counts: words has no chat template",)


def test_a_missing_package_is_said(
    prepared: Work, model: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    (told,) = prepared([tower(1), tower(2)], model=model).manifest.not_done
    assert "pip install 'phichat[data]'" in told


@pytest.mark.parametrize(
    ("lengths", "width", "bars"),
    [
        ([0], 1, (1,)),
        ([3, 1, 1], 1, (0, 2, 0, 1)),
        ([10, 64], 5, (0, 0, 1, *(0,) * 9, 1)),
        ([3200], 200, None),
    ],
)
def test_a_histogram_has_few_bars_of_a_round_width(
    lengths: list[int], width: int, bars: tuple[int, ...] | None
) -> None:
    found = histogram(lengths)
    assert found.width == width
    assert bars is None or found.bars == bars
    assert len(found.bars) <= 33


def test_the_middle_and_the_95th_of_100() -> None:
    found = histogram(list(range(1, 101)))
    assert (found.median, found.p95, found.longest, found.total) == (50, 95, 100, 5050)
