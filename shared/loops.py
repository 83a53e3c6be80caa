"""Background loops: one that crashes is started again, with back-off, and says so."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

from shared.metrics import Meter

PAUSES = (0.2, 1.0, 5.0, 30.0)
CALM = 60.0
"""Seconds without a crash after which the earlier ones are forgotten."""
AGAIN = 0.5
"""Seconds after which a loop that goes on is told again to end."""

log = logging.getLogger(__name__)


class Loops:
    """The background loops of one service."""

    def __init__(self, loops: Mapping[str, Callable[[], Awaitable[None]]], meter: Meter) -> None:
        self._loops, self._meter = loops, meter
        self._tasks: list[asyncio.Task[None]] = []
        self._crashes: dict[str, str] = {}

    def start(self) -> None:
        """Begin all of them."""
        self._tasks = [
            asyncio.create_task(self._keep(name, loop), name=f"loop {name}") for name, loop in self._loops.items()
        ]

    async def stop(self) -> None:
        """End all of them."""
        await end(*self._tasks)

    def trouble(self) -> str:
        """Return which loops are down; empty if none is."""
        return "; ".join(f"{name}: {reason}" for name, reason in self._crashes.items())

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        crashes = 0
        while True:
            started = monotonic()
            try:
                await loop()
            except Exception as error:
                log.exception("loop %s crashed", name)
                crashes = 1 if monotonic() - started > CALM else crashes + 1
                self._crashes[name] = f"{type(error).__name__}: {error}"
                self._meter.restarted(name)
                await asyncio.sleep(PAUSES[min(crashes, len(PAUSES)) - 1])
                self._crashes.pop(name, None)
            else:
                return


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks until they are over."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        # Again and again: before Python 3.12, `wait_for` forgets a cancellation that comes with its result.
        _, left = await asyncio.wait(left, timeout=AGAIN)
    await asyncio.gather(*tasks, return_exceptions=True)  # what they raised has been said where it was raised
