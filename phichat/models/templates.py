"""A model's chat template as text: exactly as transformers renders it, without loading transformers.

As in `transformers/utils/chat_template_utils.py`: the template of a foreign model is untrusted code and runs
in the same sandbox, with the same few functions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from phichat.errors import DataError

if TYPE_CHECKING:
    import jinja2


class Template:
    """A chat template, and the special tokens that it may name."""

    def __init__(self, source: str, tokens: Mapping[str, str]) -> None:
        self.source = source
        self._tokens = dict(tokens)
        self._tracker: list[tuple[int, int]] = []
        self._blocks: list[str] = []
        self._template = self._compile(source)

    def render(
        self, messages: Sequence[Mapping[str, str]], *, answer: bool = False
    ) -> tuple[str, list[tuple[int, int]]]:
        """The conversation as text, and where in it the template marks what is trained.

        With `answer` the start of the next answer is behind it.

        Raises:
            DataError: the template refuses the conversation.
        """
        import jinja2

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


def tokens_of(folder: Path) -> dict[str, str]:
    """The special tokens of a model folder that a template may name, by their names."""
    named = {**_json_of(folder / "special_tokens_map.json"), **_json_of(folder / "tokenizer_config.json")}
    return {
        key: value["content"] if isinstance(value, dict) else value
        for key, value in named.items()
        if key.endswith("_token") and isinstance(value, (str, dict))
    }


def special_tokens(folder: Path) -> frozenset[str]:
    """The texts that a model folder's tokenizer reads as one special token each; none without its file."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return frozenset()
    added = json.loads(file.read_bytes()).get("added_tokens") or []
    return frozenset(token["content"] for token in added if token.get("special"))


def own_template(folder: Path) -> str:
    """The template that a model folder is served with; empty without one."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = _json_of(folder / "tokenizer_config.json").get("chat_template") or ""
    if isinstance(found, list):
        found = next((each["template"] for each in found if each.get("name") == "default"), "")
    return str(found)


def _json_of(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
