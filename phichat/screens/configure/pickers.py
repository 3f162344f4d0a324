"""Lists to choose from: the backends, broken ones with their error, and the models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets.option_list import Option

from phichat.screens.rows import Rows
from phichat.screens.wording import size
from phichat.workflow.estimates import tight

if TYPE_CHECKING:
    from phichat.backends.base import Estimate
    from phichat.backends.registry import Description
    from phichat.workflow.offers import ModelOffer

CHOSEN, OTHER, BROKEN = "●", "○", "✗"


class BackendList(Rows):
    """The installed backends."""

    HELP = """
## Backends

Where models are trained, deployed and chatted with. Enter chooses one; a broken one has a cross and says
why, and changes nothing for the others.
"""

    def show(self, backends: tuple[Description, ...], chosen: str) -> None:
        """Show them, one line each."""
        at = self.highlighted
        self.clear_options()
        width = max((len(each.name) for each in backends), default=0)
        self.add_options([Option(_backend(each, chosen, width), id=each.name) for each in backends])
        names = [each.name for each in backends]
        self.highlighted = at if at is not None else names.index(chosen) if chosen in names else 0


class ModelList(Rows):
    """The models of the catalogue, and others that are on this machine."""

    HELP = """
## Models

The model to start from. Enter chooses one; any other model of the Hugging Face hub, or a folder, is typed
in the field below the list.
"""

    def show(
        self, offers: list[ModelOffer], chosen: str, needs: Mapping[str, Estimate] | None = None
    ) -> None:
        """Show them, one line each; with what each would need here, where that is known."""
        at = self.highlighted
        self.clear_options()
        told = (
            partial(_model, chosen=chosen) if needs is None else partial(_needing, chosen=chosen, needs=needs)
        )
        self.add_options([Option(told(each), id=each.name) for each in offers])
        names = [each.name for each in offers]
        self.highlighted = at if at is not None else names.index(chosen) if chosen in names else 0


def _backend(each: Description, chosen: str, width: int) -> Content:
    sign = BROKEN if each.error else CHOSEN if each.name == chosen else OTHER
    colour = "$text-error" if each.error else ""  # what is under the cursor has its colour from there
    return Content.assemble((f"{sign} ", colour), f"{each.name:<{width}}  ", _reason(each) or each.title)


def _reason(each: Description) -> str:
    """Why a backend is broken, without saying its name again."""
    return each.error.removeprefix(f"Backend {each.name!r} ").removeprefix("cannot be loaded: ")


def _needing(each: ModelOffer, chosen: str, needs: Mapping[str, Estimate]) -> Content:
    """A model with what it takes to chat with it: how much to download, and whether the memory is enough."""
    sign = CHOSEN if each.name == chosen else OTHER
    need = needs.get(each.name)
    fetch = "" if need is None else f"download {size(need.download_bytes)}" if need.download_bytes else "here"
    return Content.assemble(f"{sign} {each.name:<13}{each.parameters:>6}  {fetch:<16}  ", _room(need))


def _room(need: Estimate | None) -> Content:
    """Whether this machine can hold a model."""
    if need is None or need.memory_bytes is None or need.memory_free is None:
        return Content("")
    wanted, free = size(need.memory_bytes[0]), size(need.memory_free)
    if tight(need):
        return Content.assemble(("✗", "$text-error"), f" takes {wanted}, {free} free")
    return Content.assemble(("✓", "$text-success"), f" takes {wanted} of memory")


def _model(each: ModelOffer, chosen: str) -> Content:
    sign = CHOSEN if each.name == chosen else OTHER
    where = "here" if each.here else size(each.bytes)
    return Content.assemble(
        f"{sign} {each.name:<15}{each.parameters:>7}{each.context:>9}  {each.licence:<11}{where:>8}",
    )
