"""Everything is killed at random while fifty projects run, and each ends as it would have.

This is the short run. Longer ones by hand: `python -m tests.chaos --seed 7 --minutes 10`. A failure prints its seed;
`NEXUS_CHAOS_SEED=7 pytest tests/chaos/test_chaos.py` tries it again.
"""

import asyncio
import os
from itertools import islice
from pathlib import Path

import pytest

from tests.chaos.campaign import run
from tests.chaos.stage import VICTIMS
from tests.chaos.storm import blows
from tests.chaos.workload import SHAPES, wishes

pytestmark = [pytest.mark.system, pytest.mark.slow]

SEED = int(os.environ.get("NEXUS_CHAOS_SEED", "7"))


async def test_fifty_projects_end_as_they_would_have_whoever_is_killed(tmp_path: Path) -> None:
    async with asyncio.timeout(150):
        report = await run(SEED, tmp_path, projects=50, seconds=22, pause=1.5)

    print(report)
    assert report.problems == [], f"seed {SEED}"
    assert report.kills.total() >= 10
    assert set(report.kills) >= set(VICTIMS), "everybody died at least once"
    assert report.looks > 50


def test_the_same_seed_makes_the_same_run() -> None:
    assert wishes(3, 20, 10) == wishes(3, 20, 10) != wishes(4, 20, 10)
    assert list(islice(blows(3, 1), 20)) == list(islice(blows(3, 1), 20)) != list(islice(blows(4, 1), 20))


def test_every_shape_and_every_victim_has_its_turn() -> None:
    assert {wish.shape for wish in wishes(1, len(SHAPES), 1)} == set(SHAPES)
    assert {blow.victims[0] for blow in islice(blows(1, 1), len(VICTIMS))} == set(VICTIMS)
