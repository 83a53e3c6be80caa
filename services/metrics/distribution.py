"""A distribution of seconds in fixed memory: exponential buckets, as Prometheus' native histograms have them."""

import math
from collections import Counter
from dataclasses import dataclass, field

GROWTH = 2**0.25
"""A quantile is off by at most half a bucket: 9 %."""


@dataclass
class Distribution:
    """Counts values by their order of magnitude."""

    count: int = 0
    total: float = 0.0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, value: float) -> None:
        """Count a value; whatever is less than a microsecond is one."""
        self.count += 1
        self.total += value
        self.buckets[math.floor(math.log(max(value, 1e-6), GROWTH))] += 1

    @property
    def mean(self) -> float | None:
        """Return the mean; None if there is nothing."""
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """Return the value that `share` (0 to 1) of all stay under; None if there is nothing."""
        left = share * self.count
        for bucket in sorted(self.buckets):
            left -= self.buckets[bucket]
            if left <= 0:
                return float(GROWTH ** (bucket + 0.5))
        return None
