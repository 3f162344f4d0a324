"""Text as it is streamed: whole characters, and nothing of a stop string."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, trainers

from tests import tiny
from text import BROKEN, StopText, TokenText

TEXTS = (
    "Hello world",
    "emoji 👩‍👩‍👧 🙂🇫🇷!",
    "漢字かな 中文",
    "  two  spaces\n\n and a\ttab ",
    "é café naïve",
    "<0x41> is not a byte",
)


def sentencepiece() -> Tokenizer:
    """A tokenizer as Phi-3's and Llama's: words begin with ▁, unknown characters are bytes."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=[*tiny.SPECIAL_TOKENS, *byte_tokens], show_progress=False
    )
    tokenizer.train_from_iterator(tiny.CORPUS, trainer)
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = [
        token for token in description["added_tokens"] if token["content"] not in byte_tokens
    ]
    return Tokenizer.from_str(json.dumps(description))


@functools.cache
def tokenizers() -> dict[str, Tokenizer]:
    return {"bytes": tiny.build_tokenizer().backend_tokenizer, "sentencepiece": sentencepiece()}


@pytest.fixture(params=["bytes", "sentencepiece"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return tokenizers()[request.param]


def stream(tokenizer: Tokenizer, tokens: Sequence[int], *, continues: bool = False) -> list[str]:
    text = TokenText(tokenizer.decode, tokenizer.encode("a").ids, continues=continues)
    return [*(text.push(token) for token in tokens), text.flush()]


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_the_text(tokenizer: Tokenizer, text: str) -> None:
    pieces = stream(tokenizer, tokenizer.encode(text, add_special_tokens=False).ids)
    assert "".join(pieces) == text
    assert BROKEN not in "".join(pieces)


@given(st.text())
def test_any_text_survives(text: str) -> None:
    for tokenizer in tokenizers().values():
        tokens = tokenizer.encode(text, add_special_tokens=False).ids
        whole = tokenizer.decode(tokens)
        streamed = "".join(stream(tokenizer, tokens))
        # At the very end an honest � cannot be told from an unfinished character.
        assert streamed.rstrip(BROKEN) == whole.rstrip(BROKEN)


@given(st.lists(st.integers(min_value=8, max_value=383)))
def test_any_tokens_stream(tokens: list[int]) -> None:
    for tokenizer in tokenizers().values():
        whole = tokenizer.decode(tokens)
        streamed = "".join(stream(tokenizer, tokens))
        # Of bytes that make up no character, SentencePiece decoding also breaks the good ones beside them.
        if BROKEN not in whole:
            assert streamed == whole


def test_text_comes_with_its_token(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode("The keeper counts the ships", add_special_tokens=False).ids
    assert all(stream(tokenizer, tokens)[: len(tokens)])


def test_a_character_comes_when_it_is_whole(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode("a🙂", add_special_tokens=False).ids
    pieces = stream(tokenizer, tokens)
    assert len(tokens) > 3
    assert [piece for piece in pieces if piece] == ["a", "🙂"]


def test_half_a_character_at_the_end_is_left_out(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode("a🙂", add_special_tokens=False).ids
    assert "".join(stream(tokenizer, tokens[:-1])) == "a"


def test_a_continued_answer_keeps_its_leading_space() -> None:
    tokenizer = tokenizers()["sentencepiece"]
    tokens = tokenizer.encode("world", add_special_tokens=False).ids
    assert "".join(stream(tokenizer, tokens)) == "world"
    assert "".join(stream(tokenizer, tokens, continues=True)) == " world"


def test_bytes_that_are_no_character() -> None:
    """tokenizers' own DecodeStream raises here; a newline is such a byte token in Phi-3's vocabulary."""
    tokenizer = tokenizers()["sentencepiece"]
    vocabulary = tokenizer.get_vocab()
    sea = tokenizer.encode("sea", add_special_tokens=False).ids
    tokens = [*sea, vocabulary["<0x0A>"], vocabulary["<0x96>"], *sea]
    assert "".join(stream(tokenizer, tokens)) == f"sea\n{BROKEN} sea"


def test_text_passes_up_to_a_stop_string() -> None:
    stop = StopText(["\nUser:"])
    assert [stop.push(piece) for piece in ("Hello", "\n", "Us", "er", ": x", "y")] == ["Hello", *[""] * 5]
    assert stop.stopped
    assert stop.flush() == ""


def test_what_does_not_become_a_stop_string_is_shown() -> None:
    stop = StopText(["STOP"])
    assert [stop.push(piece) for piece in ("a ST", "E", "P ST", "O")] == ["a ", "STE", "P ", ""]
    assert not stop.stopped
    assert stop.flush() == "STO"


@given(
    st.lists(st.text("ab", max_size=3)),
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=2),
)
def test_stop_strings_are_never_shown(pieces: list[str], stops: list[str]) -> None:
    stop = StopText(stops)
    shown = "".join([*(stop.push(piece) for piece in pieces), stop.flush()])
    text = "".join(pieces)
    assert text.startswith(shown)
    assert not any(one in shown for one in stops)
    assert stop.stopped == any(one in text for one in stops)
    if not stop.stopped:
        assert shown == text
