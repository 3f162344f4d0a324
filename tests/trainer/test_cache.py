"""Keys and values between turns: what is shared, what is copied, what is forgotten, and the cap."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cache import BLOCK, KeyValues, Pool, common_prefix

LAYERS, HEADS, WIDTH = 2, 2, 4
BYTES = 2 * LAYERS * HEADS * WIDTH * 4
"""Of one token."""


def read(held: KeyValues, tokens: Sequence[int]) -> None:
    """What a model does: each layer appends keys and values, here the tokens themselves."""
    states = torch.tensor(tokens, dtype=torch.float32).view(1, 1, -1, 1).expand(1, HEADS, -1, WIDTH)
    for layer in range(LAYERS):
        keys, values = held.cache.update(states, -states, layer)
        assert keys.shape[-2] == len(held.tokens) + len(tokens)
        assert torch.equal(keys, -values)
    held.tokens.extend(tokens)


def stored(held: KeyValues) -> list[int]:
    layer = held.layers[-1]
    assert layer.keys is not None
    return [int(key) for key in layer.keys[0, 0, :, 0]]


def pool(blocks: int) -> Pool:
    return Pool(blocks * BLOCK * BYTES + BYTES, BYTES)


def turn(pool: Pool, tokens: Sequence[int], *, long: bool = False) -> tuple[KeyValues, int]:
    """Read a conversation and put it by; returns how much of it had been read before."""
    held = pool.open(tokens, long=long)
    assert held is not None
    shared = len(held.tokens)
    read(held, tokens[shared:])
    pool.close(held, keep=True)
    return held, shared


def test_appending_keeps_everything() -> None:
    held = KeyValues(long=False)
    held.room.tokens = 4
    read(held, [1, 2, 3])
    held.room.tokens = 10
    read(held, [4, 5])
    assert stored(held) == held.tokens == [1, 2, 3, 4, 5]
    assert held.bytes == 5 * BYTES
    assert held.cache.get_seq_length() == 5


def test_cropping_forgets_the_end() -> None:
    held = KeyValues(long=False)
    held.room.tokens = 8
    read(held, [1, 2, 3, 4])
    held.crop(2)
    read(held, [7])
    assert stored(held) == held.tokens == [1, 2, 7]


def test_a_copy_is_another_one() -> None:
    held = KeyValues(long=False)
    held.room.tokens = 8
    read(held, [1, 2, 3, 4])
    copy = held.copy(2, room=8)
    read(copy, [9])
    read(held, [5])
    assert stored(copy) == copy.tokens == [1, 2, 9]
    assert stored(held) == held.tokens == [1, 2, 3, 4, 5]


def test_the_next_turn_finds_what_was_read() -> None:
    kept = pool(8)
    first, _ = turn(kept, range(100))
    assert turn(kept, range(150)) == (first, 100)


def test_one_token_is_always_left_to_read() -> None:
    kept = pool(8)
    turn(kept, range(100))
    assert turn(kept, range(100))[1] == 99


def test_the_match_is_by_token() -> None:
    kept = pool(8)
    turn(kept, [*range(90), 7, 7])
    held, shared = turn(kept, range(100))
    assert (shared, stored(held)) == (90, [*range(100)])


def test_the_longest_match_wins() -> None:
    kept = pool(8)
    turn(kept, [*range(50), *range(500, 550)])
    best, _ = turn(kept, [*range(90), *range(600, 610)])
    assert turn(kept, range(120)) == (best, 90)


def test_another_conversation_is_copied_from_rather_than_cut() -> None:
    kept = pool(8)
    first, _ = turn(kept, range(100))
    second, shared = turn(kept, [*range(40), *range(200, 300)])
    assert (second is first, shared) == (False, 40)
    assert turn(kept, range(120)) == (first, 100)


def test_without_room_for_a_copy_it_is_cut() -> None:
    kept = pool(1)
    first, _ = turn(kept, range(100))
    assert turn(kept, [*range(40), *range(200, 300)]) == (first, 40)


def test_what_was_read_with_other_position_factors_is_of_no_use() -> None:
    kept = pool(8)
    turn(kept, range(100))
    assert turn(kept, range(150), long=True)[1] == 0
    assert turn(kept, range(160), long=True)[1] == 150


def test_the_least_recently_used_is_forgotten_first() -> None:
    kept = pool(2)
    turn(kept, range(100))
    turn(kept, range(1000, 1100))
    turn(kept, range(110))
    turn(kept, range(2000, 2100))
    assert turn(kept, range(120))[1] == 110
    assert turn(kept, range(1000, 1100))[1] == 0


def test_what_is_in_use_is_not_forgotten() -> None:
    kept = pool(2)
    one, other = kept.open(range(10), long=False), kept.open(range(20), long=False)
    assert one is not None
    assert other is not None
    assert kept.open(range(5), long=False) is None
    assert not kept.grow(one)
    kept.close(other, keep=True)
    assert kept.grow(one)
    assert one.room.tokens == 2 * BLOCK


def test_what_is_not_kept_is_gone() -> None:
    kept = pool(2)
    held = kept.open(range(10), long=False)
    assert held is not None
    read(held, range(10))
    kept.close(held, keep=False)
    assert kept.tokens == 0


def test_room_ahead_is_asked_for_only_where_there_is_any() -> None:
    kept = pool(1)
    assert kept.open(range(10), long=False, ahead=BLOCK) is not None
    kept = pool(2)
    assert kept.open(range(10), long=False) is not None
    assert kept.open(range(10), long=False, ahead=BLOCK) is None
    assert kept.open(range(10), long=False) is not None


@pytest.mark.parametrize(
    ("one", "other", "common"), [("", "", 0), ("ab", "abc", 2), ("abd", "abc", 2), ("x", "abc", 0)]
)
def test_common_prefix(one: str, other: str, common: int) -> None:
    assert common_prefix([*map(ord, one)], [*map(ord, other)]) == common


class PoolMachine(RuleBasedStateMachine):
    """Conversations that come, grow and go in any order never break the cap, nor each other."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = pool(4)
        self.open: list[KeyValues] = []

    @rule(family=st.integers(0, 2), shared=st.integers(0, 400), own=st.integers(1, 500), long=st.booleans())
    def begin(self, family: int, shared: int, own: int, long: bool) -> None:
        tokens = [*range(family * 1000, family * 1000 + shared), *range(9000 + shared, 9000 + shared + own)]
        held = self.pool.open(tokens, long=long)
        if held is None:
            assert self.open
            return
        assert held not in self.open
        assert held.long == long
        assert held.tokens == tokens[: len(held.tokens)]
        assert len(held.tokens) < len(tokens) <= held.room.tokens
        read(held, tokens[len(held.tokens) :])
        self.open.append(held)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def grow(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.open))
        if len(held.tokens) < held.room.tokens or self.pool.grow(held):
            read(held, [7])

    @precondition(lambda self: self.open)
    @rule(data=st.data(), keep=st.booleans())
    def end(self, data: st.DataObject, keep: bool) -> None:
        held = data.draw(st.sampled_from(self.open))
        self.open.remove(held)
        self.pool.close(held, keep=keep)

    @invariant()
    def the_cap_holds(self) -> None:
        assert self.pool.tokens <= self.pool.capacity

    @invariant()
    def nobody_else_writes(self) -> None:
        for held in self.open:
            assert stored(held) == held.tokens


PoolMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestPool = PoolMachine.TestCase
