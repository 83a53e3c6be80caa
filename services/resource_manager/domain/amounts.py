"""Amounts of resources as exact integers: what is taken and given back a million times must come out even."""

from contracts.resource_manager import Capacity
from contracts.work import Demand

DIMENSIONS = ("cpu", "memory", "disk", "network")
SCALE = 1_000_000
MOST = 10**18  # infinity and whatever else is beyond any pool

Amounts = tuple[int, int, int, int]
Limits = tuple[int | None, int | None, int | None, int | None]

NOTHING: Amounts = (0, 0, 0, 0)
UNLIMITED: Limits = (None, None, None, None)


def exact(value: float) -> int:
    """Return millionths of a unit."""
    return round(value * SCALE) if value < MOST // SCALE else MOST


def amounts(demand: Demand) -> Amounts:
    """Return what a demand takes, beside slots."""
    return exact(demand.cpu), exact(demand.memory), exact(demand.disk), exact(demand.network)


def pool_limits(capacity: Capacity) -> Limits:
    """Return what a pool has."""
    return _limit(capacity.cpu), _limit(capacity.memory), _limit(capacity.disk), _limit(capacity.network)


def own_limits(capacity: Demand | None) -> Limits:
    """Return what an agent has; what it says nothing about, and 0, is no limit."""
    if capacity is None:
        return UNLIMITED
    return (
        _limit(capacity.cpu or None),
        _limit(capacity.memory or None),
        _limit(capacity.disk or None),
        _limit(capacity.network or None),
    )


def lacking(needs: Amounts, held: list[int], limits: Limits) -> int | None:
    """Return the first dimension in which `needs` do not fit beside what is held; None if they fit."""
    for n in range(4):
        limit = limits[n]
        if limit is not None and needs[n] and held[n] + needs[n] > limit:
            return n
    return None


def _limit(value: float | None) -> int | None:
    return None if value is None else exact(value)
