"""Decides on the pool and stores what was decided, one fact per append or many in a batch."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import TypeVar

from contracts.base import Event
from services.resource_manager.domain import Heard, Match, Pool, Terms
from services.resource_manager.gauges import Gauges
from services.resource_manager.origins import Origins
from shared.delivery import OUTAGE
from shared.repository import Origin, Repository

POOL = "default"
SINGLY = 8
"""Facts that are appended one by one. One append took 0.15 to 0.4 ms and a batch 3 ms and up, whatever it held."""
BATCH = 1000
PAUSE = 1.0
"""Seconds between attempts while the log is away."""

Decision = Callable[[Pool], list[Event]]
T = TypeVar("T")
log = logging.getLogger(__name__)


def now() -> datetime:
    """Return the time that decisions are made with."""
    return datetime.now(UTC)


class _Plan:
    """What a decision came to, stored step by step; made anew if the pool changed in between."""

    def __init__(self, decide: Decision) -> None:
        self._decide = decide
        self._pool: Pool | None = None
        self._version = -1
        self.rest: list[Event] = []

    def step(self, pool: Pool) -> None:
        """Record as much as is to be stored together."""
        if pool is not self._pool or pool.version != self._version:
            self.rest = self._decide(pool)
        count = 1 if len(self.rest) <= SINGLY else BATCH
        for event in self.rest[:count]:
            pool.record(event)
        self._pool, self._version, self.rest = pool, pool.version, self.rest[count:]


class Allocator:
    """The pool as the rest of the service sees it."""

    def __init__(self, pools: Repository[Pool], origins: Origins, match: Match, terms: Terms, gauges: Gauges) -> None:
        self._pools, self._origins, self._match, self.terms, self._gauges = pools, origins, match, terms, gauges

    async def state(self, decide: Decision, *, origin: Origin | None = None, create: bool = False) -> int:
        """Store what is decided; return its place in the log, or that of what went before if there is nothing to say.

        An origin that has had its effect before has none again.
        """
        plan = _Plan(decide)
        while True:
            change = await self._pools.change(
                POOL, plan.step, create=create, origin=origin, origins=None if origin else self._origins.of
            )
            if change.repeated or not plan.rest:
                return change.sequence

    async def see(self, look: Callable[[Pool], T]) -> T:
        """Return what can be seen of the pool; `look` must not change it."""
        return (await self._pools.change(POOL, look)).result

    async def answer(self, heard: Sequence[Heard]) -> None:
        """Give and take back what the coordinator's facts ask for."""
        started = perf_counter()
        await self.state(lambda pool: self._noted(pool, pool.answer(heard, now(), self._match, self.terms)))
        self._gauges.cycle(perf_counter() - started)

    async def look_again(self, *, review: bool = False) -> None:
        """Give what has become free to those who wait."""
        await self.state(lambda pool: self._noted(pool, pool.look_again(now(), self._match, self.terms, review=review)))

    def _noted(self, pool: Pool, events: list[Event]) -> list[Event]:
        self._gauges.pool = pool
        return events


async def patiently(attempt: Callable[[], Awaitable[None]]) -> None:
    """Go on until it is done: while the log is away nothing later can be done either, and order is kept."""
    while True:
        try:
            return await attempt()
        except OUTAGE as error:
            log.warning("the log is away, trying again: %r", error)
            await asyncio.sleep(PAUSE)
