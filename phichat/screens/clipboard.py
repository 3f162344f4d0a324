"""The clipboard: the system's own; where there is none, the terminal's, which never says what it took."""

from __future__ import annotations

import asyncio
import os

from textual import work
from textual.app import App
from textual.message import Message


class Copy(Message):
    """This text is wanted in the clipboard; `what` it is opens the sentence that says where it went."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__()
        self.text = text
        self.what = what


class CopyingApp(App[None]):
    """Copies whatever a screen, a widget or a key of Textual's own asks for, and says to which clipboard."""

    class Copied(Message):
        """Whether the system took it is known."""

        def __init__(self, copy: Copy, *, native: bool) -> None:
            super().__init__()
            self.copy = copy
            self.native = native

    def copy_to_clipboard(self, text: str) -> None:
        """Copy what is selected or cut: Textual's keys for that end here."""
        if text:  # a field cuts also where nothing is selected
            self.post_message(Copy(text, "The text"))

    def on_copy(self, event: Copy) -> None:
        self._clipboard = event.text  # what Textual's own key for it pastes
        self._copy(event)

    @work(group="copy", exclusive=True, exit_on_error=False)
    async def _copy(self, copy: Copy) -> None:
        self.post_message(self.Copied(copy, native=await asyncio.to_thread(native, copy.text)))

    def on_copying_app_copied(self, event: Copied) -> None:
        if event.native:
            told = f"{event.copy.what} is in the clipboard of this machine."
        else:
            # Also where nobody hears it: no terminal says whether it takes what OSC 52 sends.
            super().copy_to_clipboard(event.copy.text)
            told = f"{event.copy.what} was sent to the clipboard of your terminal (OSC 52)."
        self.notify(told, markup=False)


def native(text: str) -> bool:
    """Copy with the system's own means; False where there are none, or the person sits elsewhere.

    It starts a program and waits for it: not in the event loop.
    """
    if os.environ.get("SSH_CONNECTION"):  # the clipboard of this machine is not the person's
        return False
    import pyperclip

    try:
        pyperclip.copy(text)
    except (pyperclip.PyperclipException, OSError):
        return False
    return True
