"""The system's own clipboard; where there is none, the terminal's is left, which never says what it took."""

from __future__ import annotations

import os


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
