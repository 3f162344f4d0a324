"""One answer in the making: how its next token is chosen, what of its text can be shown, when it ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cache import KeyValues
from chat import ChatTemplate
from contract import Deliver, EngineError, FinishReason, Options, Usage
from text import StopText

MANY = 1024
"""Candidates that `top_p` is first looked for among: sorting a whole vocabulary takes milliseconds."""


class Generation:
    """An answer that an engine works on. `cancel` may be called from any thread; the rest is the engine's."""

    def __init__(
        self,
        prompt: Sequence[int],
        options: Options,
        deliver: Deliver,
        template: ChatTemplate,
        *,
        ends: frozenset[int],
        context: int,
        dropped: int,
    ) -> None:
        self.tokens = list(prompt)
        self.held: KeyValues | None = None
        """What the model has read of `tokens`; None while the answer waits for room."""
        self.cancelled = False
        self._prompt_tokens = len(prompt)
        self._limit = min(options.max_tokens or context, context - len(prompt))
        self._options = options
        self._deliver = deliver
        self._template = template
        self._ends = ends
        self._context = context
        self._dropped = dropped
        self._text = template.text(continues=options.continue_final)
        self._stop = StopText(options.stop)
        self._random = torch.Generator()
        if options.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(options.seed)

    def cancel(self) -> None:
        """Stop after the token, or the chunk of the prompt, that is being worked on."""
        self.cancelled = True

    @property
    def completion_tokens(self) -> int:
        """Tokens chosen so far."""
        return len(self.tokens) - self._prompt_tokens

    def accept(self, logits: torch.Tensor) -> FinishReason | None:
        """Choose the next token and show what text is certain; returns why the answer ends here, or None."""
        token = choose(logits, self._options.temperature, self._options.top_p, self._random)
        self.tokens.append(token)
        if token in self._ends:
            return "stop"
        if not self._template.is_special(token):
            self._show(self._stop.push(self._text.push(token)))
        if self._stop.stopped:
            return "stop"
        return "length" if self.completion_tokens >= self._limit else None

    def finish(self, reason: FinishReason) -> None:
        """Show what was held back and say what the answer cost."""
        self._show(self._stop.push(self._text.flush()))
        self._show(self._stop.flush())
        self._give(
            Usage(
                self._prompt_tokens,
                self.completion_tokens,
                reason,
                self._dropped,
                self._context,
                self._template.sha256,
            )
        )

    def fail(self, error: EngineError) -> None:
        """End with an error."""
        self._give(error)

    def _show(self, text: str) -> None:
        if text:
            self._give(text)

    def _give(self, item: str | Usage | EngineError) -> None:
        try:
            self._deliver(item)
        except Exception:  # whoever asked is gone; nobody else may suffer from that
            self.cancelled = True


def choose(logits: torch.Tensor, temperature: float, top_p: float, random: torch.Generator) -> int:
    """The next token: the most probable one at temperature 0, else one drawn with the given generator.

    Raises:
        EngineError: the logits are not numbers.
    """
    best, token = logits.max(dim=-1)
    if not torch.isfinite(best):
        raise EngineError("The model computes values that are not numbers: its weights are damaged.")
    if temperature == 0:
        return int(token)
    scores = (logits.float() - best.float()).cpu() / temperature
    probabilities = torch.softmax(scores, dim=-1)
    tokens = None
    if top_p < 1:
        probabilities, tokens = _nucleus(probabilities, top_p)
    sums = probabilities.cumsum(dim=-1)
    drawn = torch.rand(1, generator=random) * sums[-1]
    at = min(int(torch.searchsorted(sums, drawn, right=True)), len(sums) - 1)
    return at if tokens is None else int(tokens[at])


def _nucleus(probabilities: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The fewest most probable tokens that have the probability `top_p` together (arXiv:1904.09751)."""
    values, tokens = probabilities.topk(min(MANY, len(probabilities)))
    if values.sum() < top_p:
        values, tokens = probabilities.sort(descending=True)
    kept = max(1, int((values.cumsum(dim=-1) - values < top_p).sum()))
    return values[:kept], tokens[:kept]
