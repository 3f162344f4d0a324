"""Which rows are held out: decided by each row's own content, so that adding rows moves no other one.

The rule. Rows that nearly repeat each other form a cluster; every other row is a cluster of its own. A
cluster is named by the smallest content hash among its rows, and is held out if the hash of that name
and the seed, read as a number from 0 to 1, is below the share that is wanted. So:

- A row without near duplicates keeps its side for ever, whatever is added or removed.
- All rows of a cluster are on one side. A new row that joins a cluster takes that side, unless its own
  hash is the smallest: then the cluster is renamed and decided anew, as a whole. For a cluster of n rows
  that happens with probability 1/(n+1), and changes the side in 2·t·(1-t) of the cases (t: the share).
- A new row that joins two clusters makes them one, which takes the side of the one with the smaller name.
- The share is reached on average only: n rows miss it by about sqrt(t·(1-t)/n).
- Where nothing at all falls below the share, the cluster nearest to it is held out, if another is left to
  train on; it goes back to training once a row is added that does fall below.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence


class Clusters:
    """Rows that belong together, joined two at a time."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        self._hashes = hashes
        self._parent = list(range(len(hashes)))

    def root(self, row: int) -> int:
        """The row that stands for the whole cluster: the one with the smallest hash, then the first."""
        parent = self._parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def join(self, one: int, other: int) -> None:
        """Make the clusters of two rows one."""
        one, other = self.root(one), self.root(other)
        if (self._hashes[other], other) < (self._hashes[one], one):
            one, other = other, one
        self._parent[other] = one


def place(name: bytes, seed: int) -> float:
    """Where a cluster's name falls between 0 and 1."""
    digest = hashlib.sha256(seed.to_bytes(8, "big") + name).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def held_out(rows: Iterable[int], clusters: Clusters, places: Sequence[float], share: float) -> set[int]:
    """The rows that are held out to evaluate on; none of them where there is only one cluster.

    `places` has the place of each row's hash; the root of a cluster is the row that its name comes from.
    """
    if not share:
        return set()
    roots = {row: clusters.root(row) for row in rows}
    names = set(roots.values())
    chosen = {root for root in names if places[root] < share}
    if len(names) == 1:
        return set()
    if not chosen:
        chosen = {min(names, key=places.__getitem__)}
    elif len(chosen) == len(names):
        chosen.remove(max(names, key=places.__getitem__))
    return {row for row, root in roots.items() if root in chosen}
