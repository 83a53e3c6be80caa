"""What the passing of time asks for: leases renewed, silent agents given up, reasons told anew, advice given."""

import asyncio
import logging
import time

from services.resource_manager.allocator import Allocator, now
from services.resource_manager.domain import advise
from services.resource_manager.watch import Watch
from shared.delivery import OUTAGE

SHORTEST, LONGEST = 0.05, 1.0
"""Seconds between two rounds, at least and at most."""
REVIEW = 5.0
"""Seconds between two looks at whether those who wait lack something else now."""

log = logging.getLogger(__name__)


class Sweep:
    """Rounds through the pool."""

    def __init__(self, allocator: Allocator, watch: Watch, *, advice: bool) -> None:
        self._allocator, self._watch, self._advice = allocator, watch, advice
        self._reviewed = time.monotonic()

    async def run(self) -> None:
        """Go round for ever."""
        while True:
            try:
                pause, began = await self._pause(), time.monotonic()
                await asyncio.sleep(pause)
                if time.monotonic() - began > 2 * pause + SHORTEST:  # this process was asleep, or had no time to listen
                    self._watch.excuse()
                await self._round()
            except OUTAGE as reason:
                log.warning("the pool is not looked after now: %r", reason)
                self._watch.excuse()
                await asyncio.sleep(LONGEST)

    async def _pause(self) -> float:
        """Return the seconds until the next round: often enough for the most lively agent and the shortest lease."""
        beats = (await self._watch.intervals()).values()
        third = self._allocator.terms.lease.total_seconds() / 3
        return max(SHORTEST, min(LONGEST, third, *(beat / 2 for beat in beats)))

    async def _round(self) -> None:
        await self._watch.seek_silent()
        allocator = self._allocator
        # Those who were silent are gone by now: the agents that are left are alive.
        await allocator.state(lambda pool: pool.renew(pool.agents.keys(), now(), allocator.terms))
        if self._advice:
            await allocator.state(lambda pool: advise(pool, now()))
        if time.monotonic() - self._reviewed >= REVIEW:
            self._reviewed = time.monotonic()
            await allocator.look_again(review=True)
