"""A model's chat template: a conversation as the text that the model sees, and which parts are trained.

Renders exactly as transformers does (`transformers/utils/chat_template_utils.py`), without loading it: the
template of a foreign model is untrusted code and runs in the same sandbox, with the same few functions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from phichat.data.conversation import Turn
from phichat.errors import DataError

if TYPE_CHECKING:
    import jinja2


@dataclass(frozen=True)
class Span:
    """A piece of the rendered text."""

    text: str
    trained: bool
    """Whether the loss is taken on it."""


class ChatTemplate:
    """A template and the special tokens that it may name."""

    def __init__(self, source: str, tokens: Mapping[str, str], special: Iterable[str] = ()) -> None:
        self.source = source
        self._special = sorted(special, key=len, reverse=True)
        self._tokens = dict(tokens)
        self._tracker: list[tuple[int, int]] = []
        self._blocks: list[str] = []
        self._template = self._compile(source)

    @property
    def marks_trained(self) -> bool:
        """Whether the template itself says what is trained."""
        return "endgeneration" in self.source

    def render(self, turns: Sequence[Turn]) -> str:
        """The conversation as text, without the start of a next answer.

        Raises:
            DataError: the template refuses it.
        """
        return self._render(turns)[0]

    def spans(self, turns: Sequence[Turn]) -> list[Span]:
        """The rendered text in pieces: trained are the answers, each with the token that ends it.

        An answer of weight 0 is not trained.

        Raises:
            DataError: the template refuses the conversation, or changes what was said in it.
        """
        text, trained = self._render(turns)
        if not self.marks_trained:
            trained = list(self._found(turns, text))
        weights = [turn.weight for turn in turns if turn.role == "assistant"]
        # A template may mark more than the answers, as Phi's end of the text: it goes with the last of them.
        weights += weights[-1:] * (len(trained) - len(weights))
        kept = [span for span, weight in zip(trained, weights, strict=False) if weight != 0]
        return list(_cut(text, kept))

    def _found(self, turns: Sequence[Turn], text: str) -> Iterator[tuple[int, int]]:
        """Where the answers are, for a template without marks: each begins where the model would go on."""
        for number, turn in enumerate(turns):
            if turn.role != "assistant":
                continue
            start = len(self._render(turns[:number], answer=True)[0])
            end = start + len(turn.content)
            if text[start:end] != turn.content:
                raise DataError(
                    "The model's chat template changes what was said: nobody can tell what is trained."
                )
            rest = text[end:].lstrip()
            stop = next((token for token in self._special if rest.startswith(token)), "")
            yield start, len(text) - len(rest) + len(stop) if stop else end

    def _render(self, turns: Sequence[Turn], answer: bool = False) -> tuple[str, list[tuple[int, int]]]:
        import jinja2

        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        self._tracker, self._blocks = [], []
        try:
            for block in self._template.generate(
                messages=messages, tools=None, documents=None, add_generation_prompt=answer, **self._tokens
            ):
                self._blocks.append(block)
        except jinja2.TemplateError as error:
            raise DataError(f"The model's chat template refuses the conversation: {error}.") from error
        return "".join(self._blocks), self._tracker

    def _compile(self, source: str) -> jinja2.Template:
        try:
            import jinja2
            from jinja2.ext import Extension
            from jinja2.sandbox import ImmutableSandboxedEnvironment
        except ImportError as error:
            told = "The package jinja2, which renders chat templates, is not installed."
            raise DataError(told, "pip install 'phichat[data]'") from error
        outer = self

        class Marks(Extension):
            """`{% generation %}…{% endgeneration %}`: what is inside is trained."""

            tags = {"generation"}  # noqa: RUF012  # jinja2's own way to declare it

            def parse(self, parser: Any) -> Any:
                line = next(parser.stream).lineno
                body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
                call = self.call_method("_trained")
                return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

            def _trained(self, caller: Any) -> str:
                text = str(caller())
                start = sum(map(len, outer._blocks))
                outer._tracker.append((start, start + len(text)))
                return text

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[Marks, "jinja2.ext.loopcontrols"],
            autoescape=False,  # the text is for a model, not for a browser
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = _now
        try:
            return environment.from_string(source)
        except jinja2.TemplateError as error:
            raise DataError(f"The model's chat template cannot be read: {error}.") from error


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _refuse(message: str) -> NoReturn:
    import jinja2

    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _cut(text: str, trained: Sequence[tuple[int, int]]) -> Iterator[Span]:
    at = 0
    for start, end in trained:
        if start > at:
            yield Span(text[at:start], False)
        yield Span(text[start:end], True)
        at = end
    if at < len(text):
        yield Span(text[at:], False)


def load_template(folder: Path, source: Path | None = None) -> ChatTemplate | None:
    """The template of a model folder, or the text of `source` with that folder's special tokens.

    None if there is none.
    """
    config = _json_of(folder / "tokenizer_config.json")
    text = source.read_text(encoding="utf-8") if source else _own_template(folder, config)
    if not text:
        return None
    named = {**_json_of(folder / "special_tokens_map.json"), **config}
    tokens = {
        key: value["content"] if isinstance(value, dict) else value
        for key, value in named.items()
        if key.endswith("_token") and isinstance(value, (str, dict))
    }
    return ChatTemplate(text, tokens, special_tokens(folder))


def render(turns: Sequence[Turn], folder: Path, source: Path | None = None) -> list[Span]:
    """One conversation as the model of a folder will see it, in pieces; see `load_template` for `source`.

    Raises:
        DataError: the model has no template, or it refuses the conversation.
    """
    template = load_template(folder, source)
    if template is None:
        raise DataError(f"The model in {folder} has no chat template.", "Choose a model that can chat.")
    return template.spans(turns)


def special_tokens(folder: Path) -> frozenset[str]:
    """The texts that a model folder's tokenizer reads as one special token each; none without its file."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return frozenset()
    added = json.loads(file.read_bytes()).get("added_tokens") or []
    return frozenset(token["content"] for token in added if token.get("special"))


def own_digest(folder: Path) -> str:
    """The SHA-256 of the template that the model is served with; empty without one."""
    own = _own_template(folder, _json_of(folder / "tokenizer_config.json"))
    return hashlib.sha256(own.encode()).hexdigest() if own else ""


def _own_template(folder: Path, config: Mapping[str, Any]) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = config.get("chat_template") or ""
    if isinstance(found, list):
        found = next((each["template"] for each in found if each.get("name") == "default"), "")
    return str(found)


def _json_of(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
