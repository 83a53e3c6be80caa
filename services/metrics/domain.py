"""What an alert is, and when one is raised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.metrics import AlertRaised, AlertResolved
from shared.domain import Aggregate

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """Watches one number of the report."""

    id: str
    summary: str
    threshold: float
    measure: Callable[[Report], float]


@dataclass
class Alert(Aggregate):
    """Whether what a rule watches is out of bounds."""

    TOPIC = "metrics.alert"

    raised: bool = False
    summary: str = ""
    value: float = 0.0
    since: datetime | None = None

    def watch(self, rule: Rule, value: float, now: datetime) -> None:
        """Raise it above the threshold, resolve it at four fifths: a number on the edge does not flicker."""
        if not self.raised and value > rule.threshold:
            summary = rule.summary.format(value=value, threshold=rule.threshold)
            self.record(AlertRaised(at=now, rule=rule.id, summary=summary, value=value, threshold=rule.threshold))
        elif self.raised and value <= 0.8 * rule.threshold:
            self.record(AlertResolved(at=now, rule=rule.id, value=value))

    def apply_alert_raised(self, event: AlertRaised) -> None:
        self.raised, self.summary, self.value, self.since = True, event.summary, event.value, event.at

    def apply_alert_resolved(self, event: AlertResolved) -> None:
        self.raised, self.value, self.since = False, event.value, event.at


def _failing(report: Report) -> float:
    tasks = report["tasks"]
    return 1 - tasks["success_rate"] if tasks["attempts"] >= 20 else 0.0


def _lost(report: Report) -> float:
    return float(sum(1 for agent in report["agents"].values() if agent["busy"] and not agent["present"]))


RULES = (
    Rule(
        "queue_age", "requests wait for capacity for {value:.0f} s", 60, lambda r: float(r["queue"]["oldest_seconds"])
    ),
    Rule("task_failures", "{value:.0%} of all attempts fail", 0.5, _failing),
    Rule(
        "dead_letters",
        "{value:.0f} messages could not be handled: nexus dead list",
        0,
        lambda r: float(r["dead_letters"]),
    ),
    Rule("agents_missing", "{value:.0f} agents hold work and are not there", 0, _lost),
)
