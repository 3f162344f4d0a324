"""What must be in place, each with what to do when it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

if TYPE_CHECKING:
    from phichat.backends.base import Check
    from phichat.screens.remedies import Remedy


class CheckList(OptionList):
    """The checks: Enter does what mends one that failed."""

    HELP = """
## Checks

What must be in place for the backend to work. What fails says its fix; Enter does it, as far as the
application can.
"""

    def __init__(self, checks: Sequence[Check]) -> None:
        super().__init__(*(Option(_told(check)) for check in checks))
        self._checks = checks

    def remedy(self) -> Remedy | None:
        """What mends the highlighted check."""
        from phichat.errors import BackendError
        from phichat.screens.remedies import remedy

        if self.highlighted is None or self._checks[self.highlighted].ok:
            return None
        check = self._checks[self.highlighted]
        return remedy(BackendError(check.detail, check.fix))


def _told(check: Check) -> Content:
    if check.ok:
        return Content.assemble(("✓ ", "$text-success"), f"{check.name}  ", (check.detail, "$text-muted"))
    told = Content.assemble(("✗ ", "$text-error"), (check.name, "bold"), f"  {check.detail}")
    return Content.assemble(told, f"\n  → {check.fix}") if check.fix else told
