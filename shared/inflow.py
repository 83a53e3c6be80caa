"""The continuous pull loop: hands over whatever has accumulated, acknowledges, and survives what may happen to it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

BATCH = 256
ACK_WAIT = 3.0


@dataclass(frozen=True, slots=True)
class InflowSpec:
    """What one inflow takes, and who handles it."""

    stream: str
    durable: str
    filters: Sequence[str]
    handle: Callable[[list[Any]], Awaitable[None]]
    batch: int = BATCH
    ack_wait: float = ACK_WAIT
    after: int = 0
