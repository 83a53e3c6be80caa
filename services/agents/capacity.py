"""What an expected number of users and a performance level mean in numbers. Pure."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from services.agents.brief import Unsupported
from services.agents.findings import Capacity, Quality


class Level(NamedTuple):
    """What a performance level promises."""

    share: float
    """Of all users, how many are there in the busiest minute."""
    think: int
    """Seconds between two requests of one user."""
    p95: int
    """Milliseconds within which 95 of 100 answers come."""
    availability: float


LEVELS = {
    "low": Level(0.02, 20, 1_000, 99.0),
    "standard": Level(0.05, 15, 500, 99.5),
    "high": Level(0.10, 10, 200, 99.9),
    "very_high": Level(0.20, 5, 100, 99.95),
}
OTHER_NAMES = {"basic": "low", "normal": "standard", "medium": "standard", "critical": "very_high"}
PER_WORKER = 150
"""Requests a second that one worker of the produced back end is asked to carry; a cautious figure for one core."""


def capacity(requirements: Mapping[str, Any]) -> Capacity:
    """The load to build for."""
    users = _users(requirements.get("expected_users", 1_000))
    name = _level(requirements.get("performance_level", "standard"))
    level = LEVELS[name]
    concurrent = max(1, math.ceil(users * level.share))
    rate = max(1, math.ceil(concurrent / level.think))
    workers = min(16, max(1, math.ceil(rate / PER_WORKER) + (level.availability >= 99.9)))
    return Capacity(
        expected_users=users,
        performance_level=name,
        concurrent_users=concurrent,
        requests_per_second=rate,
        p95_milliseconds=level.p95,
        availability_percent=level.availability,
        workers=workers,
        pool_size=min(20, max(5, math.ceil(rate * level.p95 / 1_000 / workers))),
        page_size=20,
        tuned=users >= 5_000 or name in {"high", "very_high"},
    )


ALWAYS = (
    Quality(
        id="NF-5",
        title="Security",
        measure="passwords are kept as scrypt hashes, tokens as SHA-256 hashes; every route says who may use it",
        because="there are accounts",
    ),
    Quality(
        id="NF-6",
        title="Integrity",
        measure="what must hold is a constraint of the database, and several changes are one transaction",
        because="programs come and go, data stays",
    ),
)
"""What every application has to be, whatever its load."""


def qualities(load: Capacity) -> tuple[Quality, ...]:
    """The non-functional requirements that follow from the load, and those that every application has."""
    level = LEVELS[load.performance_level]
    down = _downtime(level.availability)
    return (
        Quality(
            id="NF-1",
            title="Throughput",
            measure=f"{load.requests_per_second:,} requests/s, sustained for 10 minutes",
            because=f"{load.expected_users:,} users, {level.share:.0%} of them in the busiest minute "
            f"({load.concurrent_users:,}), one request each {level.think} s",
        ),
        Quality(
            id="NF-2",
            title="Response time",
            measure=f"95 % of answers within {load.p95_milliseconds} ms at that throughput",
            because=f"performance level {load.performance_level}",
        ),
        Quality(
            id="NF-3",
            title="Availability",
            measure=f"{level.availability} %: at most {down} minutes down a month",
            because=f"performance level {load.performance_level}",
        ),
        Quality(
            id="NF-4",
            title="Capacity",
            measure=f"{load.workers} worker{'s' * (load.workers > 1)} with {load.pool_size} database connections each",
            because=f"{PER_WORKER} requests/s for one worker, and a spare one from 99.9 % availability on",
        ),
        *ALWAYS,
    )


def _users(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= 10**9:
        raise Unsupported(f"expected_users is {given!r}; it must be a whole number from 1 to 1,000,000,000")
    return given


def _level(given: Any) -> str:
    name = str(given).strip().lower().replace("-", "_").replace(" ", "_")
    name = OTHER_NAMES.get(name, name)
    if name not in LEVELS:
        raise Unsupported(f"performance_level is {given!r}; known are {', '.join((*LEVELS, *OTHER_NAMES))}")
    return name


def _downtime(percent: float) -> int:
    """Minutes of a month of 30 days."""
    return round((100 - percent) / 100 * 30 * 24 * 60)
