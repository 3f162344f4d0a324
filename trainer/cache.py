"""Keys and values of what a model has read, kept between the turns of conversations under a cap in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

BLOCK = 256
"""Tokens by which a cache grows; growing copies it, once a block."""
CHEAP = 256
"""Tokens of another conversation that may be thrown away rather than copying what is shared with it."""


class Room:
    """How many tokens the layers of one cache have room for."""

    def __init__(self) -> None:
        self.tokens = 0


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer that appends in place: transformers' own copies the whole cache for every token.

    Layers with a sliding window are kept whole as well: transformers' own drop what leaves the window and
    cannot go back any more, so that no turn behind it could be reused. The attention mask applies the window.
    """

    def __init__(self, room: Room) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._room = room
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None
        self._length = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append, and return everything so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self._length + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < end:
            self._buffers = self._grown(key_states), self._grown(value_states, 1)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., self._length : end, :] = states
        return self._show(end)

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; the number is negative, as in transformers."""
        self._show(self._length + tokens_to_remove)

    def copy(self, tokens: int, room: Room) -> RoomyLayer:
        """A layer with the first tokens of this one."""
        layer = RoomyLayer(room)
        keys, values = self._show(self._length)
        layer.update(keys[..., :tokens, :], values[..., :tokens, :])
        return layer

    def _grown(self, states: torch.Tensor, which: int = 0) -> torch.Tensor:
        shape = list(states.shape)
        shape[-2] = self._room.tokens
        buffer = states.new_empty(shape)
        if self._buffers is not None:
            buffer[..., : self._length, :] = self._buffers[which][..., : self._length, :]
        return buffer

    def _show(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert self._buffers is not None
        self._length = length
        keys, values = (buffer[..., :length, :] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values


class KeyValues:
    """What the model has read of one conversation: its tokens, and their keys and values."""

    def __init__(self, *, long: bool) -> None:
        self.tokens: list[int] = []
        self.long = long
        """Read with the position factors for long texts (LongRoPE): of no use for a short one, or reverse."""
        self.room = Room()
        self.layers: list[RoomyLayer] = []
        self.cache = Cache(layer_class_to_replicate=self._layer)  # type: ignore[arg-type]

    @property
    def bytes(self) -> int:
        """What the keys and values of the tokens so far take."""
        shown = [tensor for layer in self.layers for tensor in (layer.keys, layer.values)]
        return sum(tensor.numel() * tensor.element_size() for tensor in shown if tensor is not None)

    def crop(self, tokens: int) -> None:
        """Keep only the first tokens."""
        if surplus := len(self.tokens) - tokens:
            self.cache.crop(-surplus)
            del self.tokens[tokens:]

    def copy(self, tokens: int, room: int) -> KeyValues:
        """Another one with the first tokens of this and room for more."""
        other = KeyValues(long=self.long)
        other.room.tokens = room
        other.tokens = self.tokens[:tokens]
        other.layers = [layer.copy(tokens, other.room) for layer in self.layers]
        other.cache.layers = [*other.layers]
        return other

    def _layer(self) -> RoomyLayer:
        """The next layer: transformers asks for one after the other in the first forward pass."""
        self.layers.append(RoomyLayer(self.room))
        return self.layers[-1]


class Pool:
    """All caches of one model: those in use, and the idle ones, the least recently used first."""

    def __init__(self, cap: int, bytes_per_token: int) -> None:
        self.capacity = cap // (bytes_per_token * BLOCK) * BLOCK
        """Tokens that all caches together have room for."""
        self._idle: list[KeyValues] = []
        self._in_use: list[KeyValues] = []

    @property
    def tokens(self) -> int:
        """Tokens that there is room for in all caches now."""
        return sum(held.room.tokens for held in (*self._idle, *self._in_use))

    def open(self, tokens: Sequence[int], *, long: bool, ahead: int = 0) -> KeyValues | None:
        """A cache to read these tokens into; it holds a beginning that was read before, never all of them.

        There is room for all of them, and for `ahead` more where the pool is that large. None: not now,
        others use what is left.
        """
        room = _blocks(len(tokens))
        free = self.capacity - sum(held.room.tokens for held in self._in_use)
        if min(room + ahead, self.capacity) > free:
            return None
        source, shared = self._closest(tokens, long)
        if (
            source is not None
            and _worth_a_copy(len(source.tokens), shared)
            and self._evict(room, spare=source)
        ):
            opened = source.copy(shared, room)
        else:
            opened = source if source is not None else KeyValues(long=long)
            if source is not None:
                self._idle.remove(source)
            opened.crop(shared)
            self._evict(max(room, opened.room.tokens))
            opened.room.tokens = max(room, opened.room.tokens)
        self._in_use.append(opened)
        return opened

    def grow(self, held: KeyValues) -> bool:
        """Make room for another block of tokens; False: there is none, others use it."""
        if not self._evict(BLOCK):
            return False
        held.room.tokens += BLOCK
        return True

    def close(self, held: KeyValues, *, keep: bool) -> None:
        """Done with this one for now; kept, the next turn finds it."""
        self._in_use.remove(held)
        if keep and held.tokens:
            self._idle.append(held)

    def clear(self) -> None:
        """Forget everything that is not in use."""
        self._idle.clear()

    def _closest(self, tokens: Sequence[int], long: bool) -> tuple[KeyValues | None, int]:
        """The idle cache with the longest beginning in common, and how many tokens that is."""
        shared, source = 0, None
        for held in self._idle:
            if held.long == long and (common := common_prefix(held.tokens, tokens)) >= max(shared, 1):
                shared, source = common, held
        # The model has to be shown at least one token to say what comes next.
        return source, min(shared, len(tokens) - 1)

    def _evict(self, tokens: int, spare: KeyValues | None = None) -> bool:
        """Forget idle caches, the least recently used first, until there is room for so many more tokens."""
        need = self.tokens + tokens - self.capacity
        victims = []
        for held in self._idle:
            if need <= 0:
                break
            if held is not spare:
                victims.append(held)
                need -= held.room.tokens
        if need > 0:
            return False
        for victim in victims:
            self._idle.remove(victim)
        return True


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences have in common from the start."""
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))


def _blocks(tokens: int) -> int:
    """As many whole blocks as hold the tokens."""
    return -(-tokens // BLOCK) * BLOCK


def _worth_a_copy(tokens: int, shared: int) -> bool:
    lost = tokens - shared
    return lost > CHEAP or 2 * lost > tokens
