"""What takes time in Azure: counted in looks, because no test waits on a clock."""

from __future__ import annotations


class Slowly:
    """Things that are begun, and made after so many looks."""

    def __init__(self) -> None:
        self.looks = 1
        """How many looks everything takes that is begun from now on."""
        self._left: dict[str, int] = {}

    def begin(self, what: str, looks: int | None = None) -> None:
        """Begin to make something."""
        self._left[what.lower()] = self.looks if looks is None else looks

    def look(self, what: str) -> bool:
        """Whether it is made by now; every look brings it nearer."""
        left = self._left.get(what.lower(), 0)
        self._left[what.lower()] = max(0, left - 1)
        return left <= 0

    def made(self, what: str) -> bool:
        """Whether it is made by now, without a look."""
        return self._left.get(what.lower(), 0) <= 0
