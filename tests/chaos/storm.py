"""Processes die at random moments; the same seed makes the same moments and the same victims."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.chaos.stage import NATS, VICTIMS, Stage

AWAY = (0.0, 0.3, 1.0, 2.5)
OUTAGE = 20.0
"""Longer than anybody tries again without giving up: what is in hand fails half-way and must be made good later."""
FROZEN = (0.8, 3.0)
"""Seconds that a process stands still: shorter and longer than three beats of an agent."""


@dataclass(frozen=True)
class Blow:
    """One kill, or one process that stands still for a while and then goes on as if nothing had been."""

    after: float
    """Seconds since the one before."""
    victims: tuple[str, ...]
    away: float = 0.0
    """Seconds until a killed nats-server is started again."""
    frozen: float = 0.0
    """Not killed, but stopped for so many seconds."""


def blows(seed: int, pause: float, *, outages: bool = False) -> Iterator[Blow]:
    """Yield them for ever, `pause` seconds apart on average; everybody has its turn, and sometimes two at once.

    With `outages` the nats-server sometimes stays away for long.
    """
    rng = Random(f"storm {seed}")
    while True:
        turn = list(VICTIMS)
        rng.shuffle(turn)
        for victim in turn:
            others = [other for other in VICTIMS if other not in (victim, NATS)]
            second = (rng.choice(others),) if rng.random() < 0.2 else ()
            away = rng.choice((*AWAY, OUTAGE) if outages else AWAY)
            yield Blow(rng.uniform(0.3, 2 * pause - 0.3), (victim, *second), away)
        yield Blow(rng.uniform(0.3, pause), (rng.choice(others),), frozen=rng.choice(FROZEN))


async def storm(stage: Stage, seed: int, pause: float, kills: Counter[str], *, outages: bool = False) -> None:
    """Strike until cancelled; note who died."""
    for blow in blows(seed, pause, outages=outages):
        await asyncio.sleep(blow.after)
        # To its end, also when the storm is over: a server that was killed must come back.
        strike = asyncio.create_task(_strike(stage, blow, kills))
        try:
            await asyncio.shield(strike)
        except asyncio.CancelledError:
            await strike
            raise


async def _strike(stage: Stage, blow: Blow, kills: Counter[str]) -> None:
    if blow.frozen:
        kills["frozen"] += await stage.freeze(blow.victims[0], blow.frozen)
        return
    died = await asyncio.gather(*(stage.kill(victim, blow.away) for victim in blow.victims))
    kills.update(victim for victim, dead in zip(blow.victims, died, strict=True) if dead)
