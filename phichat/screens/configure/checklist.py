"""What must be in place, each with what to do when it is not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets.option_list import Option

from phichat.screens.rows import Rows

if TYPE_CHECKING:
    from phichat.backends.base import Check
    from phichat.errors import PhichatError
    from phichat.screens.remedies import Remedy

_ADDRESS = re.compile(r"https://portal\.azure\.com\S*")


class CheckList(Rows):
    """The checks: Enter does what mends one that failed."""

    HELP = """
## Checks

What must be in place for the backend to work. What fails says its fix; Enter does it, as far as the
application can. Where the fix names a page of the web, o opens it.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "o",
            "page",
            "Open the page",
            tooltip="Open the page that the fix names.",
            id="checks.page",
            show=False,
        ),
    ]

    def __init__(self, checks: Sequence[Check]) -> None:
        super().__init__(*(Option(_told(check)) for check in checks))
        self._checks = checks
        self.highlighted = next((n for n, check in enumerate(checks) if not check.ok), 0 if checks else None)

    def told(self) -> str:
        """What can be done about the highlighted check, whole."""
        problem = self._problem()
        if problem is None:
            return "It is in place."
        found = self.remedy()
        keys = [f"Enter: {found.title}"] if found else []
        if page := self._page():
            return f"{' · '.join([*keys, 'o: Open the page'])}\n{page[0]}"
        return " ".join(keys)

    def remedy(self) -> Remedy | None:
        """What mends the highlighted check."""
        from phichat.screens.remedies import remedy

        problem = self._problem()
        return remedy(problem) if problem else None

    def action_page(self) -> None:
        """Open the page that the fix names, and say what to fill in there."""
        from phichat.screens.browsing import show_page

        if found := self._page():
            show_page(self.app, found)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what cannot be done now."""
        if action == "page":
            return self._page() is not None
        return super().check_action(action, parameters)

    def on_option_list_option_highlighted(self) -> None:
        self.refresh_bindings()

    def _page(self) -> tuple[str, str] | None:
        from phichat.screens.remedies import page

        problem = self._problem()
        return page(problem) if problem else None

    def _problem(self) -> PhichatError | None:
        """The highlighted check as an error, unless it is in place."""
        from phichat.errors import BackendError, HistoryError

        if self.highlighted is None or self._checks[self.highlighted].ok:
            return None
        check = self._checks[self.highlighted]
        kind = HistoryError if check.name == "history" else BackendError
        return kind(check.detail, check.fix)


def _told(check: Check) -> Content:
    if check.ok:
        return Content.assemble(("✓ ", "$text-success"), f"{check.name}  ", check.detail)
    told = Content.assemble(("✗ ", "$text-error"), (check.name, "bold"), f"  {check.detail}")
    # The address of a page is long, and says nothing: it is told whole below the list.
    fix = _ADDRESS.sub("the portal", check.fix)
    return Content.assemble(told, f"\n  → {fix}") if fix else told
