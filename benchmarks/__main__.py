"""`python -m benchmarks [NAME …] [--directory DIR]`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import audit, listing, opening, ratelimit, resume, rotation, startup, turns, writers
from benchmarks.measure import print_table

ALL = {
    "turns": turns,
    "opening": opening,
    "listing": listing,
    "writers": writers,
    "audit": audit,
    "ratelimit": ratelimit,
    "rotation": rotation,
    "resume": resume,
    "startup": startup,
}


def main() -> None:
    """Run the named benchmarks, or all of them, each in a directory of its own that is removed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; default: all")
    parser.add_argument("--directory", type=Path, help="where to work; default: the place for temporary files")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(ALL)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    rows = []
    for name in arguments.names or ALL:
        with tempfile.TemporaryDirectory(prefix="sessionstore-bench-", dir=arguments.directory) as directory:
            rows += ALL[name].run(Path(directory).resolve())
    print_table(rows)


if __name__ == "__main__":
    main()
