"""What is learned: the assistant's words with the token that ends its turn, in the model's own template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conversations import Conversation
from failures import TrainError
from masking import IGNORED, TEMPLATES, Masker, training_template
from tests import tiny

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
    "Face<|im_end|>\n' }}"
    "{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PHI_3_5 = tiny.CHAT_TEMPLATE.replace("== 'system' %}", "== 'system' and message['content'] %}")
PHI_4_MINI = (
    "{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and "
    "message['tools'] is not none %}{{ '<|' + message['role'] + '|>' + message['content'] + "
    "'<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}{% else %}{{ '<|' + message['role'] "
    "+ '|>' + message['content'] + '<|end|>' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}"
    "{% else %}{{ eos_token }}{% endif %}"
)
PHI_4 = (
    "{% for message in messages %}{% if (message['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>' + "
    "message['content'] + '<|im_end|>'}}{% elif (message['role'] == 'user') %}{{'<|im_start|>user"
    "<|im_sep|>' + message['content'] + '<|im_end|>'}}{% elif (message['role'] == 'assistant') %}"
    "{{'<|im_start|>assistant<|im_sep|>' + message['content'] + '<|im_end|>'}}{% endif %}{% endfor "
    "%}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
"""The families' own templates, each as its models carry it."""

FAMILIES = {
    "smollm2_training": SMOLLM2,
    "phi3_training": tiny.CHAT_TEMPLATE,
    "phi3_5_training": PHI_3_5,
    "phi4_mini_training": PHI_4_MINI,
    "phi4_training": PHI_4,
}
MARKS = ("<|im_start|>", "<|im_sep|>", "<|im_end|>")

TURNS = [
    ("system", "Be kind."),
    ("user", "Hi  there\n"),
    ("assistant", " Hello, <b>you</b>! 🙂\n"),
    ("user", "é?"),
    ("assistant", "Yes."),
]


def tokenizer_with(template: str) -> Any:
    tokenizer = tiny.build_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKS)})
    tokenizer.chat_template = template
    return tokenizer


def conversation(
    turns: list[tuple[str, str]] = TURNS, learned: tuple[bool, ...] = (True, True)
) -> Conversation:
    return Conversation(7, tuple({"role": role, "content": content} for role, content in turns), learned)


def learned_texts(masker: Masker, tokenizer: Any, row: Conversation, max_length: int = 512) -> list[str]:
    """Each run of learned tokens as text."""
    (example,) = masker.examples([row], max_length)
    texts: list[list[int]] = [[]]
    for token, label in zip(example.ids, example.labels, strict=True):
        assert label in (IGNORED, token)
        if label == IGNORED:
            texts.append([])
        else:
            texts[-1].append(token)
    return [tokenizer.decode(tokens) for tokens in texts if tokens]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_its_training_template(family: str) -> None:
    tokenizer = tokenizer_with(FAMILIES[family])
    assert training_template(tokenizer) == TEMPLATES / f"{family}.jinja"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_words_and_the_end_of_each_turn_are_learned(family: str) -> None:
    tokenizer = tokenizer_with(FAMILIES[family])
    masker = Masker(tokenizer, ())
    end = "<|end|>" if "<|end|>" in FAMILIES[family] else "<|im_end|>"
    assert learned_texts(masker, tokenizer, conversation()) == [
        f" Hello, <b>you</b>! 🙂\n{end}",
        f"Yes.{end}",
    ]
    (example,) = masker.examples([conversation()], 512)
    own = tokenizer.apply_chat_template([dict(turn) for turn in conversation().messages], tokenize=False)
    assert tokenizer.decode(example.ids) == own


@pytest.mark.parametrize("family", FAMILIES)
def test_a_template_that_nobody_knows_is_marked_alike(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tokenizer_with(FAMILIES[family])
    rows = [conversation(), conversation(TURNS[1:]), conversation(TURNS[1:3], (True,))]
    known = list(Masker(tokenizer, ()).examples(rows, 512))
    monkeypatch.setattr("masking.TEMPLATES", Path("nowhere"))
    masker = Masker(tokenizer, ())
    assert masker.how == "by prefixes"
    assert list(masker.examples(rows, 512)) == known


def test_a_turn_of_weight_zero_is_read_but_not_learned() -> None:
    tokenizer = tokenizer_with(tiny.CHAT_TEMPLATE)
    texts = learned_texts(Masker(tokenizer, ()), tokenizer, conversation(learned=(False, True)))
    assert texts == ["Yes.<|end|>"]


def test_the_token_that_ends_a_turn_ends_answers_too() -> None:
    tokenizer = tokenizer_with(SMOLLM2)
    assert Masker(tokenizer, [3]).stop_tokens == {3, tokenizer.convert_tokens_to_ids("<|im_end|>")}


def test_what_is_too_long_is_cut_off() -> None:
    tokenizer = tokenizer_with(tiny.CHAT_TEMPLATE)
    masker = Masker(tokenizer, ())
    (whole,) = masker.examples([conversation()], 512)
    (cut,) = masker.examples([conversation()], 20)
    assert not whole.cut
    assert cut.cut
    assert (cut.ids, cut.labels) == (whole.ids[:20], whole.labels[:20])
    assert cut.learned == 20 - cut.labels.count(IGNORED)


def test_a_token_may_take_the_spaces_behind_it() -> None:
    """Phi-3's real tokenizer: `<|assistant|>` and `<|end|>` swallow the line end that follows."""
    from tokenizers import AddedToken

    tokenizer = tiny.build_tokenizer()
    tokenizer.add_tokens(
        [
            AddedToken(f"<|{name}|>", rstrip=True, special=True, normalized=False)
            for name in ("assistant", "end")
        ]
    )
    turns = [("user", "Hi"), ("assistant", "  Two spaces")]
    masker = Masker(tokenizer, ())
    (example,) = masker.examples([conversation(turns, (True,))], 512)
    learned = [token for token in example.labels if token != IGNORED]
    assert tokenizer.decode(learned) == "Two spaces<|end|>"
    assert tokenizer.convert_tokens_to_ids("<|assistant|>") not in learned


def test_a_template_that_rewrites_the_past_is_refused() -> None:
    """As those that drop the thoughts of earlier turns do."""
    forgetful = (
        "{% for message in messages %}{% if loop.last or message['role'] == 'user' %}<s>{{ message['role'] }}"
        ":{{ message['content'] }}</s>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<s>assistant:{% endif %}"
    )
    masker = Masker(tokenizer_with(forgetful), ())
    assert list(masker.examples([conversation(TURNS[1:3], (True,))], 512))
    with pytest.raises(
        TrainError, match=r"^Line 7: the chat template shows a turn otherwise once it is past"
    ):
        list(masker.examples([conversation()], 512))


def test_a_row_that_the_training_template_renders_otherwise_is_refused() -> None:
    """This one reads as Phi-3's until a message holds the word that it treats in its own way."""
    tokenizer = tokenizer_with(
        tiny.CHAT_TEMPLATE.replace("message['content']", "message['content']|replace('x','y')")
    )
    masker = Masker(tokenizer, ())
    assert masker.how == "phi3_training"
    with pytest.raises(TrainError, match=r"^Line 7: phi3_training.jinja renders the conversation otherwise"):
        list(masker.examples([conversation([("user", "x"), ("assistant", "y")], (True,))], 512))


def test_what_the_template_refuses_is_said_with_the_line() -> None:
    tokenizer = tokenizer_with(
        "{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('No system!') }}"
        "{% endif %}<s>{{ message['content'] }}</s>{% endfor %}"
    )
    with pytest.raises(TrainError, match=r"^Line 7: the chat template refuses the conversation: No system!"):
        list(Masker(tokenizer, ()).examples([conversation()], 512))


def test_a_model_without_an_end_of_turn_is_refused() -> None:
    tokenizer = tokenizer_with("{% for message in messages %}{{ message['content'] }} {% endfor %}")
    with pytest.raises(TrainError, match="could never learn when to stop"):
        Masker(tokenizer, ())


def test_a_model_without_a_template_is_refused() -> None:
    tokenizer = tokenizer_with("")
    tokenizer.chat_template = None
    with pytest.raises(TrainError, match="has no chat template"):
        Masker(tokenizer, ())
