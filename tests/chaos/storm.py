"""Processes die at random moments; the same seed makes the same moments and the same victims."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.chaos.stage import NATS, VICTIMS, Stage


@dataclass(frozen=True)
class Blow:
    """One kill."""

    after: float
    """Seconds since the one before."""
    victims: tuple[str, ...]
    away: float = 0.0
    """Seconds until a killed nats-server is started again."""


def blows(seed: int, pause: float) -> Iterator[Blow]:
    """Yield kills for ever, `pause` seconds apart on average; everybody has its turn, and sometimes two die at once."""
    rng = Random(f"storm {seed}")
    while True:
        turn = list(VICTIMS)
        rng.shuffle(turn)
        for victim in turn:
            others = [other for other in VICTIMS if other not in (victim, NATS)]
            second = (rng.choice(others),) if rng.random() < 0.2 else ()
            yield Blow(rng.uniform(0.3, 2 * pause - 0.3), (victim, *second), rng.choice((0.0, 0.3, 1.0, 2.5)))


async def storm(stage: Stage, seed: int, pause: float, kills: Counter[str]) -> None:
    """Strike until cancelled; note who died."""
    for blow in blows(seed, pause):
        await asyncio.sleep(blow.after)
        # To its end, also when the storm is over: a server that was killed must come back.
        strike = asyncio.create_task(_strike(stage, blow, kills))
        try:
            await asyncio.shield(strike)
        except asyncio.CancelledError:
            await strike
            raise


async def _strike(stage: Stage, blow: Blow, kills: Counter[str]) -> None:
    died = await asyncio.gather(*(stage.kill(victim, blow.away) for victim in blow.victims))
    kills.update(victim for victim, dead in zip(blow.victims, died, strict=True) if dead)
