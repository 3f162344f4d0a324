"""Markdown that grows: whatever the cuts, in the end the whole text is there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Markdown, Static
from textual.widgets._markdown import MarkdownBlock, MarkdownBullet, MarkdownFence

from phichat.screens.chat import markdown
from phichat.screens.chat.markdown import StreamedMarkdown

PARTS = (
    "# A title\n\n",
    "Some *prose* with `code` and **bold**\nand a second line.\n\n",
    "- one\n- two\n  - nested\n- three\n\n",
    "1. first\n2. second\n\n   of two paragraphs\n3. third\n\n",
    "".join(f"{number}. item of many\n" for number in range(7, 13)) + "\n",
    "* in an item:\n\n  ```\n  code\n  ```\n\n  1. and\n  2. a list\n* end\n\n",
    "- one\n\n- loose\n- tight\n---\n\n",
    "```python\ndef f():\n    return '''x'''\n\n\nprint(1)\n```\n\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | [l](http://x.y) |\n\n",
    "> quoted\n> twice\n\n",
    "---\n\n",
    "std::vector<int> v; <b>x</b> &amp; </div>\n\n",
    "Under\n=====\n\n",
    "    indented code\n\n    more of it\n\n",
    "[a link][r] before\n\n[r]: http://x.y\n\n",
    "![a picture](http://x.y/z.png) 🙂 日本語\n\n",
    "~~~\nan open fence\n",
)


class Reading(App[None]):
    """A document."""

    def compose(self) -> ComposeResult:
        yield VerticalScroll()


async def stream(pilot: Pilot[None], pieces: list[str]) -> StreamedMarkdown:
    """Feed a document piece by piece, with time to draw between some of them."""
    document = StreamedMarkdown(complete=False)
    await pilot.app.query_one(VerticalScroll).mount(document)
    for number, piece in enumerate(pieces):
        document.feed(piece)
        if number % 3 == 0:
            await pilot.pause()
    document.finish()
    await pilot.app.workers.wait_for_complete()
    return document


async def whole(pilot: Pilot[None], text: str) -> StreamedMarkdown:
    """Show a document at once."""
    document = StreamedMarkdown(text)
    await pilot.app.query_one(VerticalScroll).mount(document)
    return document


def cuts(text: str, chance: random.Random) -> list[str]:
    """The text in random pieces."""
    places = sorted({0, len(text), *(chance.randrange(len(text)) for _ in range(len(text) // 16))})
    return [text[start:end] for start, end in pairwise(places)]


def rendered(document: StreamedMarkdown) -> list[tuple[str, str]]:
    """What a person reads, block by block."""
    return list(_blocks(document.query_one(Markdown)))


def _blocks(document: Markdown) -> Iterator[tuple[str, str]]:
    for block in document.walk_children(Widget):
        if isinstance(block, MarkdownBullet):
            yield "mark", block.symbol
        elif isinstance(block, MarkdownFence):
            yield "fence", block.code
        elif isinstance(block, Static) and (text := str(block.visual)):
            yield "text", text


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody watches: no pause is needed."""
    monkeypatch.setattr(markdown, "MIN_WAIT_S", 0.0)
    monkeypatch.setattr(markdown, "REST", 0)


@pytest.mark.parametrize("seed", range(14))
async def test_what_was_streamed_is_what_is_shown_at_once(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choice(PARTS) for _ in range(14))
    async with Reading().run_test(size=(100, 40)) as pilot:
        streamed = await stream(pilot, cuts(text, chance))
        assert streamed.query_one(Markdown).source == text
        assert rendered(streamed) == rendered(await whole(pilot, text))


async def test_a_link_that_is_defined_below_is_a_link_in_the_end() -> None:
    text = "See [the site][r].\n\nMore text.\n\n[r]: http://x.y\n"
    async with Reading().run_test() as pilot:
        streamed = await stream(pilot, list(text))
        assert rendered(streamed) == [("text", "See the site."), ("text", "More text.")]


async def test_html_and_line_ends_are_shown_as_they_were_written() -> None:
    async with Reading().run_test() as pilot:
        document = await whole(pilot, "vector<int> v;\nnext <b>line</b>")
        assert rendered(document) == [("text", "vector<int> v;\nnext <b>line</b>")]


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_document_that_cannot_be_rendered_is_still_readable(
    monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    def broken(self: Markdown, tokens: list[object]) -> list[MarkdownBlock]:
        return [] if not tokens else [[].pop()]

    monkeypatch.setattr(Markdown, "_parse_markdown", broken)
    async with Reading().run_test() as pilot:
        text = "**some thing**"
        document = await (whole(pilot, text) if at_once else stream(pilot, list(text)))
        assert [str(each.visual) for each in document.query(".plain").results(Static)] == [text]


async def test_the_pump_waits_in_proportion_to_what_an_append_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "REST", 3)
    clock = iter(range(1000))
    monkeypatch.setattr(markdown, "perf_counter", lambda: next(clock) * 0.2)
    waits: list[float] = []

    async def rest(self: StreamedMarkdown, seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(StreamedMarkdown, "_rest", rest)
    async with Reading().run_test() as pilot:
        await stream(pilot, ["one ", "two ", "three"])
    assert waits
    assert all(wait == pytest.approx(0.6) for wait in waits)
