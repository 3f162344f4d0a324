"""A program that opens a store when it is told to, and says which version it found: `opener PATH`."""

from __future__ import annotations

import sys
from pathlib import Path

from phichat.history.sqlite.migrations import version
from phichat.history.sqlite.opening import connect
from tests.history.chatter import say

if __name__ == "__main__":
    say(ready=True)
    sys.stdin.readline()
    connection = connect(Path(sys.argv[1]))
    say(version=version(connection))
    connection.close()
