"""The report as Prometheus reads it. Labels name resources, statuses, capabilities; never a project or a task."""

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from services.metrics.performance import ENDINGS, RESOURCES

Family = GaugeMetricFamily | CounterMetricFamily


class Gauges(Collector):
    """Turns the newest report into families whenever somebody reads them."""

    def __init__(self, report: Callable[[], dict[str, Any]]) -> None:
        self._report = report

    def collect(self) -> Iterator[Family]:
        """Yield every family."""
        found = self._report()
        yield from self._counts(found)
        yield from self._resources(found["resources"])
        queue, tasks = found["queue"], found["tasks"]
        yield GaugeMetricFamily("nexus_projects_active", "Projects under way", value=found["projects"]["active"])
        yield GaugeMetricFamily("nexus_queue_requests", "Requests that wait for capacity", value=queue["length"])
        yield GaugeMetricFamily(
            "nexus_queue_oldest_seconds", "How long the oldest request waits", value=queue["oldest_seconds"]
        )
        yield GaugeMetricFamily("nexus_dead_letters", "Messages that could not be handled", value=found["dead_letters"])
        seconds = GaugeMetricFamily("nexus_task_duration_seconds", "Duration of tasks", labels=["quantile"])
        for name, label in (("p50_seconds", "0.5"), ("p95_seconds", "0.95")):
            seconds.add_metric([label], tasks[name] or 0.0)
        yield seconds
        yield from self._agents(found["agents"])

    @staticmethod
    def _counts(found: dict[str, Any]) -> Iterator[Family]:
        projects = CounterMetricFamily("nexus_projects", "Projects that ended, by how", labels=["status"])
        for status in ENDINGS:
            projects.add_metric([status], found["projects"][status])
        attempts = CounterMetricFamily("nexus_task_attempts", "Attempts of tasks that ended, by how", labels=["status"])
        for status in ("done", "failed", "lost", "timed_out", "late"):
            attempts.add_metric([status], found["tasks"][status])
        yield from (projects, attempts)
        yield CounterMetricFamily(
            "nexus_sync_points_reached", "Sync points passed", value=found["coordination"]["sync_points_reached"]
        )

    @staticmethod
    def _resources(found: dict[str, Any]) -> Iterator[Family]:
        held = GaugeMetricFamily("nexus_resource_held", "What leases hold, in the pool's units", labels=["resource"])
        limit = GaugeMetricFamily(
            "nexus_resource_limit", "What the pool has; absent where unlimited", labels=["resource"]
        )
        for name in (*RESOURCES, "slots"):
            held.add_metric([name], found[f"{name}_held"])
            if found[f"{name}_limit"] is not None:
                limit.add_metric([name], found[f"{name}_limit"])
        yield from (held, limit)

    @staticmethod
    def _agents(found: dict[str, Any]) -> Iterator[Family]:
        present = sum(agent["present"] for agent in found.values())
        yield GaugeMetricFamily("nexus_agents", "Agents that are there", value=present)
        yield GaugeMetricFamily(
            "nexus_agent_slots_busy", "Slots in use", value=sum(agent["busy"] for agent in found.values())
        )
