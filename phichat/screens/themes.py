"""The themes that the application ships: its own dark and light one, and the terminal's own colours."""

from __future__ import annotations

from dataclasses import replace

from textual.theme import BUILTIN_THEMES, Theme

DARK = Theme(
    name="phichat-dark",
    primary="#7cb7ff",
    secondary="#a9b8cc",
    accent="#f0b46c",
    success="#7fd696",
    warning="#f0b46c",
    error="#ff8a93",
    foreground="#dde4ed",
    background="#10141b",
    surface="#191f29",
    panel="#212936",
    dark=True,
    variables={
        "border": "#7cb7ff",
        "border-blurred": "#333e4f",
        "footer-background": "#191f29",
        "footer-key-foreground": "#7cb7ff",
        "footer-description-foreground": "#b9c4d2",
        "scrollbar": "#333e4f",
        "scrollbar-hover": "#4a5970",
        "scrollbar-background": "#10141b",
        "button-color-foreground": "#10141b",
        "block-cursor-foreground": "#10141b",
    },
)

LIGHT = Theme(
    name="phichat-light",
    primary="#1b5ba8",
    secondary="#4a5b73",
    accent="#8a4a00",
    success="#1a6a3a",
    warning="#8a4a00",
    error="#b0202f",
    foreground="#22272f",
    background="#fbfaf8",
    surface="#f1efea",
    panel="#e7e4dc",
    dark=False,
    variables={
        "border": "#1b5ba8",
        "border-blurred": "#c9c4b8",
        "footer-background": "#f1efea",
        "footer-key-foreground": "#1b5ba8",
        "footer-description-foreground": "#4a5160",
        "scrollbar": "#c9c4b8",
        "scrollbar-hover": "#a9a395",
        "scrollbar-background": "#fbfaf8",
        "button-color-foreground": "#fbfaf8",
        "block-cursor-foreground": "#fbfaf8",
    },
)

_QUIET = {
    "scrollbar": "ansi_bright_black",
    "scrollbar-hover": "ansi_bright_black",
    "scrollbar-active": "ansi_blue",
    "scrollbar-background": "ansi_default",
    "scrollbar-background-hover": "ansi_default",
    "scrollbar-background-active": "ansi_default",
}

TERMINAL = tuple(
    replace(theme, variables=theme.variables | _QUIET)
    for theme in (BUILTIN_THEMES["ansi-dark"], BUILTIN_THEMES["ansi-light"])
)
"""The terminal's sixteen colours on its own background: what they look like is the person's choice."""

THEMES = {theme.name: theme for theme in (DARK, LIGHT, *TERMINAL)}
DEFAULT = DARK.name
