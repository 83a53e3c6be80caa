"""The frame every service hangs in: connection, streams, log, inflows, commands, health, graceful stop."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nats.aio.client import Client
from nats.js import JetStreamContext
from prometheus_client import CollectorRegistry

from contracts.base import Command
from contracts.envelope import CloudEvent
from shared.inflow import InflowSpec
from shared.outcomes import Accepted

if TYPE_CHECKING:
    from shared.eventlog import EventLog
    from shared.publisher import Publisher
    from shared.repository import Origin
    from shared.settings import Settings
    from shared.snapshots import Snapshots
    from shared.timers import Timers

Handler = Callable[[Any, "Origin"], Awaitable[Accepted | None]]
"""Handles one command: `(command, origin) -> Accepted | None`; raises a `DomainError` to refuse."""

SignalHandler = Callable[[tuple[str, ...], CloudEvent], Awaitable[None]]
"""Handles one message of a subscription: the tokens its wildcards stand for, and the message."""


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
    settings: "Settings"
    nc: Client
    js: JetStreamContext
    log: "EventLog"
    snapshots: "Snapshots"
    timers: "Timers"
    publisher: "Publisher"
    registry: CollectorRegistry

    async def publish(self, subject: str, event: CloudEvent) -> int:
        """Publish into the stream that keeps `subject`; return its sequence once it is stored."""
        return await self.publisher.publish(subject, event)

    async def publish_all(self, messages: Sequence[tuple[str, CloudEvent]]) -> None:
        """Publish all at once and wait until every one is stored."""
        await self.publisher.publish_all(messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a service consists of; `compose` returns it."""

    commands: Mapping[type[Command], Handler] = field(default_factory=dict)
    inflows: Sequence[InflowSpec] = ()
    subscriptions: Sequence[Subscription] = ()
    background: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """Loops by name: each runs as long as the service; one that crashes is started again, with back-off."""
    probes: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """Further conditions of readiness by name; a probe raises with the reason."""
    routes: Sequence[tuple[str, Any]] = ()
    """Further ASGI routes: (path, application)."""
    closing: Sequence[Callable[[], Awaitable[None]]] = ()
    """Called at the end, after the last message was handled and while still connected."""


Compose = Callable[[Runtime], Awaitable[Parts]]
