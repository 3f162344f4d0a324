"""Chat templates: the same text as transformers renders, and what is trained in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phichat.data.conversation import Turn
from phichat.data.template import ChatTemplate, Span, load_template, own_digest, render
from phichat.errors import DataError
from tests.conftest import ROOT

TRAINING = sorted((ROOT / "trainer" / "templates").glob("*.jinja"))
TOKENS = {"bos_token": "<s>", "eos_token": "<|endoftext|>"}
TURNS = [
    Turn("system", "Be brief."),
    Turn("user", "Où est la {{ gare }}?\n"),
    Turn("assistant", " Là-bas. "),
    Turn("user", "<b>Merci</b> & bye"),
    Turn("assistant", "🙂"),
]
TRICKY = (
    "{%- for m in messages %}\n  {%- if loop.first %}{% continue %}{% endif %}\n"
    "{{ m | tojson }} {{ m['content'] | trim }}\n{% endfor %}{{ bos_token }}"
)


@pytest.mark.parametrize("source", [*(path.read_text() for path in TRAINING), TRICKY])
def test_it_renders_as_transformers_does(source: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    messages = [{"role": turn.role, "content": turn.content} for turn in TURNS]
    rendered: Any = render_jinja_template(
        conversations=[messages],
        chat_template=source,
        return_assistant_tokens_mask="generation" in source,
        **TOKENS,  # type: ignore[arg-type]
    )
    theirs, marked = rendered
    template = ChatTemplate(source, TOKENS)
    assert template.render(TURNS) == theirs[0]
    if marked:
        trained = "".join(theirs[0][start:end] for start, end in marked[0])
        assert "".join(span.text for span in template.spans(TURNS) if span.trained) == trained


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_the_answers_are_trained_with_the_token_that_ends_them(path: Path) -> None:
    spans = ChatTemplate(path.read_text(), TOKENS).spans(TURNS)
    trained = [span.text for span in spans if span.trained]
    end = "<|im_end|>" if "im_end" in path.read_text() else "<|end|>"
    assert trained[:2] == [f" Là-bas. {end}", f"🙂{end}"]
    assert "".join(trained[2:]) in ("", "<|endoftext|>")
    assert "".join(span.text for span in spans) == ChatTemplate(path.read_text(), TOKENS).render(TURNS)


def test_an_answer_of_weight_0_is_not_trained() -> None:
    path = ROOT / "trainer" / "templates" / "smollm2_training.jinja"
    turns = [Turn("user", "a"), Turn("assistant", "b", 0), Turn("user", "c"), Turn("assistant", "d", 1)]
    trained = [span.text for span in ChatTemplate(path.read_text(), {}).spans(turns) if span.trained]
    assert trained == ["d<|im_end|>"]


PLAIN = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def test_a_template_without_marks_is_marked_by_where_the_model_would_go_on() -> None:
    turns = [Turn("user", "b"), Turn("assistant", "b"), Turn("user", "c"), Turn("assistant", "d", 0)]
    assert ChatTemplate(PLAIN, {}, ["<|end|>"]).spans(turns) == [
        Span("<|user|>b<|end|>\n<|assistant|>", False),
        Span("b<|end|>", True),
        Span("\n<|user|>c<|end|>\n<|assistant|>d<|end|>\n", False),
    ]


def test_a_template_that_changes_what_was_said_is_refused() -> None:
    with pytest.raises(DataError, match="changes what was said"):
        ChatTemplate(PLAIN.replace("m.content", "m.content | upper"), {}).spans(
            [Turn("user", "a"), Turn("assistant", "b")]
        )


def test_a_template_may_refuse_a_conversation() -> None:
    with pytest.raises(DataError, match="refuses the conversation: no system"):
        ChatTemplate("{{ raise_exception('no system') }}", {}).render([Turn("user", "a")])


def test_a_broken_template_is_named() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        ChatTemplate("{% for %}", {})


def test_a_foreign_template_stays_in_its_sandbox() -> None:
    with pytest.raises(DataError, match="refuses"):
        ChatTemplate("{{ messages.__class__.__mro__[1].__subclasses__() }}", {}).render([Turn("user", "a")])


def test_the_template_of_a_folder(tmp_path: Path) -> None:
    assert load_template(tmp_path) is None
    assert own_digest(tmp_path) == ""
    (tmp_path / "tokenizer_config.json").write_text(
        '{"chat_template": [{"name": "tools", "template": "x"},'
        ' {"name": "default", "template": "{{ eos_token }}"}], "eos_token": {"content": "</s>"}}'
    )
    template = load_template(tmp_path)
    assert template is not None
    assert template.render([Turn("user", "a")]) == "</s>"
    (tmp_path / "chat_template.jinja").write_text("own{{ eos_token }}")
    assert "".join(span.text for span in render([Turn("user", "a")], tmp_path)) == "own</s>"
    assert len(own_digest(tmp_path)) == 64


def test_a_folder_without_a_template_cannot_be_rendered(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no chat template"):
        render([Turn("user", "a")], tmp_path)
