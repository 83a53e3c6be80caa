"""Background loops end when they are told to, also those that miss it the first time."""

import asyncio

from shared.loops import Loops
from shared.metrics import Meter


async def test_a_loop_that_misses_its_cancellation_is_told_again() -> None:
    missed = 0

    async def forgetful() -> None:
        nonlocal missed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if missed:
                    raise
                missed += 1

    loops = Loops({"forgetful": forgetful}, Meter())
    loops.start()
    await asyncio.sleep(0)

    await asyncio.wait_for(loops.stop(), 5)

    assert missed == 1
