"""What every process measures about its messages, for Prometheus. Labels never hold an id."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Meter:
    """The generic measurements of one service."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._messages = Counter(
            "nexus_messages", "Messages settled, by family and how", ("family", "outcome"), registry=self.registry
        )
        self._retries = Counter(
            "nexus_message_retries", "Messages sent back to be delivered again", ("family",), registry=self.registry
        )
        self._stuck = Counter(
            "nexus_messages_stuck",
            "Deliveries of messages that may not be given up and still fail: look at the log",
            ("family",),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "nexus_handler_seconds", "Time in a handler", ("handler",), buckets=BUCKETS, registry=self.registry
        )
        self._batch = Histogram(
            "nexus_inflow_batch_messages",
            "Messages handed over together",
            ("durable",),
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            registry=self.registry,
        )
        self._lag = Gauge(
            "nexus_inflow_pending_messages", "Messages that wait to be taken", ("durable",), registry=self.registry
        )
        self._age = Gauge(
            "nexus_inflow_age_seconds", "Age of the message taken last", ("durable",), registry=self.registry
        )
        self._restarts = Counter(
            "nexus_restarts", "Parts of the service that were started again", ("part",), registry=self.registry
        )

    def settled(self, family: str, outcome: str, count: int = 1) -> None:
        """Count messages that are done, refused or dead."""
        self._messages.labels(family, outcome).inc(count)

    def retried(self, family: str) -> None:
        """Count a message that was sent back."""
        self._retries.labels(family).inc()

    def stuck(self, family: str) -> None:
        """Count a message that fails on and on."""
        self._stuck.labels(family).inc()

    def handled(self, handler: str, seconds: float) -> None:
        """Note how long a handler took."""
        self._seconds.labels(handler).observe(seconds)

    def batch(self, durable: str, count: int) -> None:
        """Note how many messages were handed over together."""
        self._batch.labels(durable).observe(count)

    def flow(self, durable: str, pending: int, age: float) -> None:
        """Note what still waits, and how old what was taken is."""
        self._lag.labels(durable).set(pending)
        self._age.labels(durable).set(age)

    def restarted(self, part: str) -> None:
        """Count a loop, an inflow or a subscriber that had to be started again."""
        self._restarts.labels(part).inc()
