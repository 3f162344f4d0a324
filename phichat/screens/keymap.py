"""The names of all keys, those of Textual's own widgets included, and the keys that a person gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.binding import Binding
from textual.dom import DOMNode
from textual.widget import Widget

KINDS = {
    "TextArea": "edit",
    "Input": "input",
    "OptionList": "list",
    "Select": "select",
    "SelectOverlay": "select",
    "ScrollView": "scroll",
    "ScrollableContainer": "scroll",
    "Screen": "screen",
    "CommandPalette": "palette",
    "FileSystemPickerScreen": "files",
    "DirectoryNavigation": "files",
}
"""How the names begin of the keys that a class of Textual, or of its file picker, brings along."""
TOLD = {
    "files.hidden": "Show hidden files",
    "files.navigate_up": "To the folder above",
    "files.dismiss": "Choose no file",
}
"""What those keys do that nobody has described."""

Pair = tuple[str, str, str]
"""A key, the binding that a person gave it to, and the other one that has it."""


def is_plain(name: str) -> bool:
    """Whether a binding of that name only edits or scrolls: too many for the palette."""
    return name.partition(".")[0] in KINDS.values()


def name_keys(node: DOMNode) -> None:
    """Give the bindings of a widget that have none a name and a tooltip."""
    bindings = node._bindings.key_to_bindings
    for key, held in bindings.items():
        if not all(each.id and each.tooltip for each in held):
            bindings[key] = [named(type(node), each) for each in held]


@cache
def named(owner: type[DOMNode], binding: Binding) -> Binding:
    """A binding of a class with a name and a tooltip, from its action and the class that it comes from."""
    if binding.id and binding.tooltip:
        return binding
    name = binding.id or f"{_kind(owner, binding)}.{_name(binding.action)}"
    told = binding.description or TOLD.get(name) or name.partition(".")[2].replace("_", " ").capitalize()
    return replace(binding, id=name, description=told, tooltip=binding.tooltip or f"{told}.")


def every_binding(owner: type[DOMNode]) -> list[Binding]:
    """All bindings that a widget of that class has."""
    merged = owner._merged_bindings
    return [named(owner, each) for _, each in merged] if merged else []


def widgets() -> Iterator[type[DOMNode]]:
    """Every class of widgets that the application can show; imports them all."""
    import importlib
    import pkgutil

    from phichat import screens

    for found in pkgutil.walk_packages(screens.__path__, f"{screens.__name__}."):
        importlib.import_module(found.name)
    for module in ("textual.command", "textual_fspicker"):
        importlib.import_module(module)
    yield from _below(Widget)


def settle(app: type[DOMNode], wanted: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The keys that a person gives to bindings that exist, and what there is to say about them; slow."""
    owners = list(dict.fromkeys([app, *widgets()]))
    known = {each.id or "" for owner in owners for each in every_binding(owner)}
    told = []
    for name in wanted.keys() - known:
        close = get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else "Help names them, in a wide terminal."
        told.append(f"There is no key binding {name!r}. {hint}")
    holds = {name: keys for name, keys in wanted.items() if name in known}
    for key, mine, other in sorted(_conflicts(holds, app, owners)):
        told.append(f"The key {key} of {mine!r} is also that of {other!r}: give that another one in [keys].")
    return holds, told


def keep_alt_digits() -> None:
    """Let Escape and a digit be Alt and that digit, which is what most terminals send for it.

    Textual takes it for the character that a Mac writes with Option: a ¡ would be in the prompt.
    """
    sequences = cast(dict[str, Any], ANSI_SEQUENCES_KEYS)
    for digit in range(10):
        sequences[f"\x1b{digit}"] = (SimpleNamespace(value=f"alt+{digit}"),)


def _conflicts(wanted: Mapping[str, str], app: type[DOMNode], owners: list[type[DOMNode]]) -> set[Pair]:
    """Where a key that a person chose is another's as well, in one widget or in the whole application."""
    everywhere = _keys(app, wanted)
    found: set[Pair] = set()
    for owner in owners:
        held = _keys(owner, wanted)
        for name, key in held:
            for other, same in held | everywhere:
                if same == key and other != name and name in wanted:
                    found.add((key, name, other))
    return {each for each in found if (each[0], each[2], each[1]) not in found or each[1] < each[2]}


def _keys(owner: type[DOMNode], wanted: Mapping[str, str]) -> set[tuple[str, str]]:
    """The names of a class's bindings, each with one of its keys."""
    held = set()
    for binding in every_binding(owner):
        name = binding.id or ""
        keys = wanted[name].split(",") if name in wanted else [binding.key]
        held |= {(name, key.strip()) for key in keys}
    return held


def _kind(owner: type[DOMNode], binding: Binding) -> str:
    """How the name of a class's binding begins: by the first class that had it."""
    bases = [base for base in reversed(owner.__mro__) if issubclass(base, DOMNode)]
    for base in bases:
        own = Binding.make_bindings(vars(base).get("BINDINGS", ()))
        if any((each.key, each.action) == (binding.key, binding.action) for each in own):
            return KINDS.get(base.__name__, base.__name__.lower())
    return owner.__name__.lower()


def _name(action: str) -> str:
    """The name of an action: `cursor_left(True)` selects on its way, `command_list('last')` is `last`."""
    name, _, rest = action.partition("(")
    name, argument = name.rpartition(".")[2], rest.strip("()'\"")
    if argument == "True":
        return f"{name}.select"
    return argument if argument not in ("", "None") else name


def _below(base: type[DOMNode]) -> Iterator[type[DOMNode]]:
    yield base
    for each in base.__subclasses__():
        yield from _below(each)
