"""What a service is built from, and what it consists of."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nats.aio.client import Client
from nats.js import JetStreamContext
from prometheus_client import CollectorRegistry

from contracts.base import Command
from contracts.envelope import CloudEvent
from shared.commands import Handler
from shared.eventlog import EventLog
from shared.inflow import InflowSpec
from shared.metrics import Meter
from shared.publisher import Publisher
from shared.settings import Settings
from shared.snapshots import Snapshots
from shared.timers import Timers

Loop = Callable[[], Awaitable[None]]
SignalHandler = Callable[[tuple[str, ...], CloudEvent], Awaitable[None]]
"""Handles one message of a subscription: the tokens that its wildcards stand for, and the message."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Messages of the public edge that are no commands: `nexus.signals.*.*`, say."""

    filter: str
    durable: str
    handle: SignalHandler


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a service is built from."""

    name: str
    settings: Settings
    nc: Client
    js: JetStreamContext
    log: EventLog
    snapshots: Snapshots
    timers: Timers
    publisher: Publisher
    meter: Meter

    @property
    def registry(self) -> CollectorRegistry:
        """Where the service registers further metrics."""
        return self.meter.registry

    async def publish(self, subject: str, event: CloudEvent) -> int:
        """Publish into the stream that keeps `subject`; return its sequence once it is stored."""
        return await self.publisher.publish(subject, event)

    async def publish_all(self, messages: Iterable[tuple[str, CloudEvent]]) -> list[int]:
        """Publish all at once and wait until every one is stored."""
        return await self.publisher.publish_all(messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a service consists of; `compose` returns it."""

    commands: Mapping[type[Command], Handler] = field(default_factory=dict)
    inflows: Sequence[InflowSpec] = ()
    subscriptions: Sequence[Subscription] = ()
    background: Mapping[str, Loop] = field(default_factory=dict)
    """Loops by name: each runs as long as the service; one that crashes is started again, with back-off."""
    probes: Mapping[str, Loop] = field(default_factory=dict)
    """Further conditions of readiness by name; a probe raises with the reason."""
    routes: Sequence[tuple[str, Any]] = ()
    """Further ASGI routes: (path, application)."""
    closing: Sequence[Loop] = ()
    """Called at the end, after the last message was handled and while still connected."""


Compose = Callable[[Runtime], Awaitable[Parts]]
