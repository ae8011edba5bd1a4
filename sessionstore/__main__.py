"""`python -m sessionstore`: the same as the `sessionstore` command."""

from __future__ import annotations

import sys

from sessionstore.cli import main

if __name__ == "__main__":
    sys.exit(main())
