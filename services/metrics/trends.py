"""What happened when: counts and holdings by minute, hour and day, each kept for a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

PERIODS = {"minute": (60, 180), "hour": (3600, 24 * 14), "day": (86400, 400)}
"""Seconds of a period, and how many are kept."""


Sums = dict[str, int | float]


@dataclass
class Trends:
    """Sums by period: number of the period since 1970, to name, to sum."""

    minute: dict[int, Sums] = field(default_factory=dict)
    hour: dict[int, Sums] = field(default_factory=dict)
    day: dict[int, Sums] = field(default_factory=dict)

    def count(self, at: datetime, name: str, amount: float = 1) -> None:
        """Add to what happened at that time."""
        for period, (seconds, _) in PERIODS.items():
            sums = self._at(period, int(at.timestamp() // seconds))
            sums[name] = sums.get(name, 0) + amount

    def hold(self, since: datetime, until: datetime, held: Mapping[str, float]) -> None:
        """Add resource-seconds for a time in which what was held did not change."""
        if not held:
            return
        for period, (seconds, kept) in PERIODS.items():
            for number, share in _shares(since.timestamp(), until.timestamp(), seconds, kept):
                sums = self._at(period, number)
                for name, amount in held.items():
                    sums[f"{name}_seconds"] = sums.get(f"{name}_seconds", 0) + amount * share

    def _at(self, period: str, number: int) -> Sums:
        series: dict[int, Sums] = getattr(self, period)
        if number not in series:
            series[number] = {}
            for old in [known for known in series if known <= number - PERIODS[period][1]]:
                del series[old]
        return series[number]

    def report(self, period: str) -> list[dict[str, Any]]:
        """Return the series of a period, oldest first, each with its beginning."""
        seconds = PERIODS[period][0]
        return [
            {"from": datetime.fromtimestamp(number * seconds, UTC).isoformat(), **counts}
            for number, counts in sorted(getattr(self, period).items())
        ]

    def rate(self, name: str, now: datetime, minutes: int = 5) -> float:
        """Return how often something happened per second, over the last minutes."""
        last = int(now.timestamp() // 60)
        total = sum(
            self.minute[number].get(name, 0) for number in range(last - minutes + 1, last + 1) if number in self.minute
        )
        return total / (minutes * 60)


def _shares(since: float, until: float, seconds: int, kept: int) -> Iterator[tuple[int, float]]:
    """Yield the part of a stretch of time that falls into each period; what would not be kept is left out."""
    start = max(since, until - seconds * kept)
    while start < until:
        number = int(start // seconds)
        end = min(until, (number + 1) * seconds)
        yield number, end - start
        start = end
