"""Which backends are installed, and how one is loaded without the others."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy
from pydantic import ValidationError

from phichat.backends import hookspecs
from phichat.backends.base import AnyBackend, Backend, Settings
from phichat.errors import ConfigError, PluginError

GROUP = "phichat"


@dataclass(frozen=True)
class Description:
    """One line about an installed backend; `error` says why it cannot be used, or is empty."""

    name: str
    package: str
    """Distribution and version, as `phichat 0.1.0`."""
    title: str = ""
    error: str = ""


def _installed() -> Iterable[EntryPoint]:
    return entry_points(group=GROUP)


class Registry:
    """The installed backends by name. Listing names imports nothing; loading one imports that one."""

    def __init__(self, source: Callable[[], Iterable[EntryPoint]] = _installed) -> None:
        self._source = source
        self._loaded: dict[str, type[AnyBackend]] = {}

    def names(self) -> list[str]:
        """Every name that an installed package offers, working or not, sorted."""
        return sorted({entry.name for entry in self._source()})

    def describe(self) -> list[Description]:
        """Every installed backend with the reason why a broken one is broken; loads each of them."""
        return [self._describe(name) for name in self.names()]

    def load(self, name: str) -> type[AnyBackend]:
        """The backend's class.

        Raises:
            ConfigError: no installed package offers that name.
            PluginError: the package that offers it is broken.
        """
        if name not in self._loaded:
            self._loaded[name] = _load(self._entry(name))
        return self._loaded[name]

    def open(self, name: str, settings: Settings | Mapping[str, Any], workdir: Path) -> AnyBackend:
        """An instance of the backend, which keeps what it has to remember in `workdir`.

        Raises:
            ConfigError: there is no such backend, or the settings are not right for it.
            PluginError: the package that offers it is broken.
        """
        backend = self.load(name)
        try:
            return backend(_validated(name, backend, settings), workdir)
        except ConfigError:
            raise
        except Exception as error:
            raise PluginError(
                f"Backend {name!r} cannot be opened: {_told(error)}.", _blame(self._entry(name))
            ) from error

    def package(self, name: str) -> str:
        """The distribution that offers a backend, for blaming it; empty when nobody knows."""
        return ", ".join(sorted({_package(entry) for entry in self._source() if entry.name == name}))

    def _describe(self, name: str) -> Description:
        try:
            return Description(name, self.package(name), title=self.load(name).title)
        except PluginError as error:
            return Description(name, self.package(name), error=error.message)

    def _entry(self, name: str) -> EntryPoint:
        found = [entry for entry in self._source() if entry.name == name]
        if not found:
            raise ConfigError(f"There is no backend {name!r}.", _suggestion(name, self.names()))
        if len(found) > 1:
            packages = " and ".join(sorted(_package(entry) for entry in found))
            raise PluginError(
                f"Backend {name!r} is offered by more than one package: {packages}.",
                "Uninstall all but one of them.",
            )
        return found[0]


def _load(entry: EntryPoint) -> type[AnyBackend]:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(entry.load(), entry.name)
        offered = manager.hook.phichat_backend()
        problem = _problem(offered)
    # SystemExit too: a module that exits when imported must not take the application with it.
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"Backend {entry.name!r} cannot be loaded: {_told(error)}.", _blame(entry)
        ) from error
    if problem:
        raise PluginError(f"Backend {entry.name!r} is broken: {problem}.", _blame(entry))
    backend: type[AnyBackend] = offered[0]
    return backend


def _validated(name: str, backend: type[AnyBackend], settings: Settings | Mapping[str, Any]) -> Settings:
    if isinstance(settings, Settings):
        return settings
    try:
        return backend.settings_type.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"Setting {key!r} of backend {name!r}: {first['msg']}.") from error


def _problem(offered: list[object]) -> str:
    """What is wrong with what a plugin's hook gave; empty when nothing is."""
    if len(offered) != 1:
        return "its module has no function phichat_backend(), marked with hookimpl, that gives a class"
    backend = offered[0]
    if not (isinstance(backend, type) and issubclass(backend, Backend)):
        what = backend.__name__ if isinstance(backend, type) else f"an object of {type(backend).__name__}"
        return f"phichat_backend() gave {what}, not a subclass of Backend"
    missing = sorted(getattr(backend, "__abstractmethods__", ()))
    if inspect.isabstract(backend):
        return f"{backend.__name__} does not implement {', '.join(missing)}"
    if not isinstance(getattr(backend, "title", None), str):
        return f"{backend.__name__} has no title"
    settings = getattr(backend, "settings_type", None)
    if not (isinstance(settings, type) and issubclass(settings, Settings)):
        return f"the settings_type of {backend.__name__} is not a subclass of Settings"
    return ""


def _told(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _blame(entry: EntryPoint) -> str:
    return f"Update or uninstall the package {_package(entry)}, or choose another backend."


def _suggestion(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Installed backends: {', '.join(names) or 'none'}."
