"""What the pool looks like to Prometheus: read from the pool when it is asked for, so it costs nothing in between."""

from collections import Counter as Tally
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.resource_manager.domain import Pool
from services.resource_manager.domain.amounts import DIMENSIONS, SCALE

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)


class Gauges(Collector):
    """Capacity and what is held of it, the queue by reason, agents, leases, and how long decision cycles take."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pool: Pool | None = None
        """The pool as it was decided on last."""
        self._cycles = Histogram(
            "nexus_pool_cycle_seconds", "Time of a decision cycle, appends included", buckets=BUCKETS, registry=registry
        )
        self._turned_away = Counter(
            "nexus_pool_agents_turned_away", "Signs of life of agents for which there is no place", registry=registry
        )
        self._unreadable = Counter(
            "nexus_pool_beats_unreadable", "Signs of life that could not be understood", registry=registry
        )
        registry.register(self)

    def cycle(self, seconds: float) -> None:
        """Note how long a decision cycle took."""
        self._cycles.observe(seconds)

    def turned_away(self) -> None:
        """Count an agent that could not join."""
        self._turned_away.inc()

    def unreadable(self) -> None:
        """Count a sign of life that could not be understood."""
        self._unreadable.inc()

    def collect(self) -> Iterator[Metric]:
        """Read the pool."""
        if self.pool is not None:
            yield from _resources(self.pool)
            yield from _queue(self.pool)
            yield from _agents(self.pool)

    def describe(self) -> list[Metric]:
        """Promise nothing in particular, so that registering reads nothing."""
        return []


def _resources(pool: Pool) -> Iterator[Metric]:
    capacity = GaugeMetricFamily(
        "nexus_pool_capacity", "What the pool has; absent without a limit", labels=["resource"]
    )
    held = GaugeMetricFamily("nexus_pool_held", "What is held of it", labels=["resource"])
    for n, name in enumerate(DIMENSIONS):
        held.add_metric([name], pool.ledger.held[n] / SCALE)
        _limit(capacity, name, getattr(pool.capacity, name))
    held.add_metric(["slots"], sum(account.slots for account in pool.ledger.accounts.values()))
    _limit(capacity, "slots", sum(agent.slots for agent in pool.agents.values() if not agent.draining))
    held.add_metric(["projects"], sum(claim.holds for claim in pool.claims.values()))
    _limit(capacity, "projects", pool.capacity.projects)
    held.add_metric(["agents"], len(pool.agents))
    _limit(capacity, "agents", pool.capacity.agents)
    yield capacity
    yield held


def _limit(family: GaugeMetricFamily, name: str, value: float | None) -> None:
    if value is not None:
        family.add_metric([name], value)


def _queue(pool: Pool) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("nexus_pool_queue", "Requests that wait, by reason", labels=["reason"])
    for reason, count in Tally(queued.reason.partition(":")[0] for queued in pool.queue.values()).items():
        waiting.add_metric([reason], count)
    yield waiting
    oldest = min((queued.since for queued in pool.queue.values()), default=None)
    age = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
    yield GaugeMetricFamily("nexus_pool_queue_oldest_seconds", "Age of the request that waits longest", value=age)


def _agents(pool: Pool) -> Iterator[Metric]:
    agents = GaugeMetricFamily("nexus_pool_agents", "Agents that are there", labels=["state"])
    draining = sum(agent.draining for agent in pool.agents.values())
    agents.add_metric(["ready"], len(pool.agents) - draining)
    agents.add_metric(["draining"], draining)
    yield agents
    yield GaugeMetricFamily("nexus_pool_leases", "Live leases", value=len(pool.leases))
