"""Run chaos by hand: `python -m tests.chaos --seed 7 --minutes 10`.

The same seed makes the same projects and the same kills, though not at the same microseconds. What goes wrong is
printed with the seed; the data folder is kept then, with the log of every process below `logs`.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import run


def main() -> int:
    """Run as often as was asked for; return 1 at the first seed that finds something."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=1.0, help="how long processes are killed, in each run")
    parser.add_argument("--projects", type=int, default=50, help="projects handed in every 30 seconds")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between two kills, on average")
    parser.add_argument("--runs", type=int, default=1, help="runs, each with the next seed")
    asked = parser.parse_args()
    for seed in range(asked.seed, asked.seed + asked.runs):
        data = Path(tempfile.mkdtemp(prefix=f"nexus-chaos-{seed}-"))
        options = {"projects": asked.projects, "seconds": asked.minutes * 60, "pause": asked.pause}
        report = asyncio.run(run(seed, data, **options))
        sys.stdout.write(f"{report}\n")
        if report.problems:
            sys.stdout.write(f"again with: python -m tests.chaos --seed {seed}; what was left is in {data}\n")
            return 1
        shutil.rmtree(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
