"""What the metrics service states: alerts about what it sees in the log."""

from typing import ClassVar

from contracts.base import Event


class AlertRaised(Event):
    """Something needs a person's eyes."""

    TOPIC: ClassVar[str] = "metrics.alert.alert_raised"

    rule: str
    summary: str
    value: float
    threshold: float


class AlertResolved(Event):
    """What an alert was raised for is over."""

    TOPIC: ClassVar[str] = "metrics.alert.alert_resolved"

    rule: str
    value: float
