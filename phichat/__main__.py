"""`python -m phichat`, and the `phichat` command."""

import sys

from phichat.cli import main

if __name__ == "__main__":
    sys.exit(main())
