"""What a person has changed in the form and not saved yet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content

from phichat import models
from phichat.config import Config, Loaded, Origin, secret
from phichat.config.form import (
    UNSET,
    Row,
    backend_rows,
    fault_of,
    project_file,
    project_rows,
    try_out,
    value_of,
)
from phichat.config.saving import save
from phichat.config.schema import Key
from phichat.workflow.offers import Offers

if TYPE_CHECKING:
    from pydantic import BaseModel

HF_ROW = Row(
    (secret.HF_TOKEN,),
    "Opens models of the Hugging Face hub that ask for a licence first.",
    "secret",
    (),
    UNSET,
    UNSET,
    Origin("default"),
)
"""The one secret that belongs to no backend."""


class Draft:
    """The rows of all pages with what is written into them."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.offers = Offers()
        self.secrets: Mapping[str, str] = {}
        """Where each secret is, by its name; empty where it is nowhere."""
        self.faults: dict[Key, str] = {}
        """What is wrong, by key."""
        self._texts: dict[Key, str] = {}
        self._project_rows = {row.key: row for row in project_rows(loaded)}

    @property
    def changed(self) -> bool:
        """Whether there is anything to save."""
        return bool(self._texts)

    @property
    def backend(self) -> str:
        """The chosen backend, saved or not."""
        return self._texts.get(("backend",)) or self.loaded.config.backend

    @property
    def base_model(self) -> str:
        """The chosen model, saved or not."""
        return self._texts.get(("base_model",), self.loaded.config.base_model) or models.DEFAULT

    def rows(self, page: str) -> list[Row]:
        """The rows of a page."""
        settings = self.offers.settings.get(self.backend)
        own = backend_rows(self.loaded, self.backend, settings) if settings else []
        match page:
            case "backend":
                return [row for row in own if row.kind != "secret"]
            case "model":
                return [self._project_rows[("base_model",)]]
            case "secrets":
                return [HF_ROW, *(row for row in own if row.kind == "secret")]
        return [row for key, row in self._project_rows.items() if len(key) > 1 and key[0] == page]

    def row(self, key: Key) -> Row | None:
        """The row of a key of the project's."""
        return self._project_rows.get(key)

    def text(self, row: Row) -> str:
        """What a row's field shows."""
        return self._texts.get(row.key, row.written)

    def put(self, row: Row, text: str) -> None:
        """Change what a row says, and judge it."""
        if text == row.written:
            self._texts.pop(row.key, None)
        else:
            self._texts[row.key] = text
        fault = fault_of(row, text, self._model(row))
        if fault:
            self.faults[row.key] = fault
        else:
            self.faults.pop(row.key, None)

    def clear(self) -> None:
        """Take back every change."""
        self._texts.clear()
        self.faults.clear()

    def origin(self, row: Row) -> str:
        """Where a row's value comes from, in a word."""
        if row.key in self.faults:
            return "✗ wrong"
        if row.key in self._texts:
            return "changed"
        if row.kind == "secret":
            return "set" if self.secrets.get(row.dotted) else "not set"
        return row.origin.source

    def about(self, row: Row) -> Content:
        """What a row means, how it is said elsewhere, and where its value comes from."""
        ways = (row.dotted, row.flag, row.variable)
        if row.kind == "secret":
            ways = (f"phichat secret set {row.dotted}", row.variable, "never in a file")
        lines = [
            self._told(row),
            Content.assemble((" · ".join(ways), "$secondary")),
            Content.assemble((self._source(row), "$secondary")),
        ]
        return Content("\n").join(lines)

    def save(self) -> None:
        """Write the changes: settings into the project's file, secrets into the keyring.

        Raises:
            ConfigError: the configuration would not hold, or cannot be written.
        """
        rows = {row.key: row for page in ("backend", "secrets") for row in self.rows(page)}
        rows |= self._project_rows
        changes: dict[Key, Any] = {}
        for key, text in self._texts.items():
            row = rows.get(key)
            if row and row.kind == "secret":
                secret.store(row.dotted, text)
            elif row:
                changes[key] = None if text.strip() == UNSET else value_of(row, text)
        if changes:
            settings = self.offers.settings.get(self.backend)
            try_out(self.loaded, changes, self.backend, settings)
            save(project_file(self.loaded), changes)

    def _told(self, row: Row) -> Content:
        if fault := self.faults.get(row.key):
            return Content.assemble(("✗ ", "$text-error"), fault)
        return Content(row.description)

    def _source(self, row: Row) -> str:
        if row.kind == "secret":
            return f"It is in: {self.secrets.get(row.dotted) or 'nowhere yet'}."
        if row.overruled:
            return f"{row.origin.where} says {row.holds}, and overrules what is saved here."
        below = f"without it {row.holds}" if row.holds else "without it nothing is set"
        if row.origin.source == "default":
            return f"Nobody has set it: {row.holds} holds." if row.holds else "Nobody has set it."
        place = str(row.origin).removeprefix(f"{self.loaded.project}{os.sep}")
        return f"From {place}; {below}."

    def _model(self, row: Row) -> type[BaseModel]:
        if row.key[0] == "backends":
            return self.offers.settings[row.key[1]]
        return Config
